import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasEscapedKey, parseJson, parseStrictly } from '../../src/kernel/json.ts'

const strings = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '"',
    '\\',
    '\\\\',
    'C:\\',
    'C:"',
    '\n',
    '__proto__',
    'toString',
    '0',
    ':',
    '{',
    ']',
    '\ud800',
  ),
)
const values = fc.letrec<{ value: unknown; list: unknown[]; object: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    strings,
    fc.constantFrom(null, true, false, 0, -1, 1.5, 1e21, 5e-324),
    fc.integer(),
    tie('list'),
    tie('object'),
  ),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc
    .array(fc.tuple(strings, tie('value')), { maxLength: 4 })
    .map((entries) => Object.fromEntries(entries)),
})).value

/** Objects whose shape is remembered for as long as they live. */
const met: unknown[] = []
const meet = (text: string) => void met.push(JSON.parse(text))

describe('parseJson', () => {
  test('does not confuse a key with a key with a backslash that was parsed before', () => {
    meet('{"a":1,"\\\\":2}')
    meet('{"a":1,"C:\\\\":2}')
    for (const key of ['"', '\n', '\\', 'C:"', 'C:\t']) {
      const object = { a: 1, [key]: 3 }
      expect(Object.keys(parseJson(JSON.stringify(object)) as object)).toEqual(['a', key])
      expect(parseJson(JSON.stringify([{ deeper: object }]))).toEqual([{ deeper: object }])
    }
  })

  test('reads what JSON.stringify wrote, with any indentation', () => {
    fc.assert(
      fc.property(values, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        // As text, for two objects that differ in the order of their keys are not the same here.
        expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(value))
        expect(JSON.stringify(parseStrictly(text, Number))).toBe(JSON.stringify(value))
      }),
      { numRuns: 1_000 },
    )
  })

  test('the last value of a repeated key counts, and __proto__ is an ordinary key', () => {
    const read = parseJson('{"a":1,"\\u0061":[2,{}],"__proto__":{"x":1},"b\\u0062":[]}') as object
    expect(JSON.stringify(read)).toBe('{"a":[2,{}],"__proto__":{"x":1},"bb":[]}')
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
  })

  test.each(['', '{"a":1', '{"\\":1}', '[1,]', '{"a\\u00zz":1}', 'nul', '"\\'])('refuses %s', (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError)
  })
})

test.each([
  ['{"a":"\\"","b":"x\\\\"}', false],
  ['["\\"a\\"",":"]', false],
  ['{"a":"\\":"}', false],
  ['{"\\"":1}', true],
  ['{"a":"\\n","b\\n" \n:1}', true],
  ['{"a":{"b":["\\\\",{"\\\\":0}]}}', true],
])('hasEscapedKey of %s is %s', (text, expected) => {
  expect(hasEscapedKey(text)).toBe(expected)
})
