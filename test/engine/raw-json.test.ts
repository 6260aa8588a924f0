import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { depthOf, hasProtoKey, scanObject, withField } from '../../src/engine/raw-json.ts'
import { parseJson } from '../../src/kernel/json.ts'

const RUNS = 2_000

const keys = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '"',
    '\\',
    '\\"',
    '\\\\',
    '__proto__',
    'constructor',
    '{',
    '}',
    ':',
    ',',
    '\u2028',
    '\ud800',
  ),
)
const values = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' })

/** A way to write JSON: with space between its tokens, and with characters escaped that need not be. */
const spellings = fc.array(fc.nat(7), { minLength: 64, maxLength: 64 }).map((choices) => {
  let next = 0
  const choose = () => choices[next++ % choices.length] ?? 0
  const space = () => ['', '', '', ' ', '\n', '\t', '\r', ' \n\t '][choose()] ?? ''
  const escaped = (char: string) =>
    char.length === 1 && choose() === 0 ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char
  return (value: unknown): string =>
    JSON.stringify(value)
      .replace(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^"{}[\],:]+/g, (token) =>
        token.startsWith('"')
          ? token.replace(/\\u[0-9a-f]{4}|\\.|[^"\\]/g, escaped)
          : `${space()}${token}${space()}`,
      )
      .trim()
})

/**
 * An object as text, with its keys and the text of its values. They are compared as text, because
 * `JSON.parse` mistakes an escaped key for one with a backslash that it met before (see src/kernel/json.ts).
 */
const objects = fc
  .tuple(fc.uniqueArray(fc.tuple(keys, values), { selector: ([key]) => key }), spellings)
  .map(([entries, spell]) => {
    const fields = entries.map(([key, value]) => [key, spell(value)] as const)
    return { fields, text: `{${fields.map(([key, raw]) => ` ${spell(key)}\n:\t${raw}\r`).join(',')}}` }
  })

describe('scanObject', () => {
  test('finds the keys and values of any object, however it is written', () => {
    fc.assert(
      fc.property(objects, ({ fields, text }) => {
        JSON.parse(text)
        expect([...scanObject(text).fields]).toEqual(fields)
      }),
      { numRuns: RUNS },
    )
  })

  test('of a repeated key it has the last value, as JSON.parse does', () => {
    const text = '{"a":1,"\\u0061":{"a":[2]},"b":0}'
    expect(parseJson(text)).toEqual({ a: { a: [2] }, b: 0 })
    expect(Object.fromEntries(scanObject(text).fields)).toEqual({ a: '{"a":[2]}', b: '0' })
  })

  test('keeps numbers as they were written', () => {
    const { fields } = scanObject('{"n": 9007199254740993 , "f":1.0}')
    expect(Object.fromEntries(fields)).toEqual({ n: '9007199254740993', f: '1.0' })
  })

  test('an empty object has no fields', () => {
    for (const text of ['{}', ' { } ', '\n{\t}\n']) {
      expect(scanObject(text)).toEqual({ fields: new Map(), depth: 1 })
    }
  })

  test('a very deep and a very long value are found without overflowing the stack', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    const long = JSON.stringify('\\"'.repeat(1_000_000))
    const { fields, depth } = scanObject(`{"deep":${deep},"long":${long}}`)
    expect(fields.get('deep')).toBe(deep)
    expect(fields.get('long')).toBe(long)
    expect(depth).toBe(100_001)
  })
})

test('depth counts the levels of nesting, and brackets in strings do not', () => {
  fc.assert(
    fc.property(values, spellings, (value, spell) => {
      const text = spell(value)
      expect(depthOf(text)).toBe(nesting(value))
      expect(scanObject(`{"v":${text}}`).depth).toBe(1 + nesting(value))
    }),
    { numRuns: RUNS },
  )
  expect(depthOf('"[[{{\\"[["')).toBe(0)
})

test('a key __proto__ is found wherever it is and however it is escaped, a value is not one', () => {
  fc.assert(
    fc.property(values, spellings, fc.boolean(), (value, spell, guilty) => {
      const innocent = { text: '__proto__":1', list: ['__proto__', value] }
      const culprit = JSON.parse('{"__proto__":1}') as unknown
      const text = spell({ a: [innocent, ...(guilty ? [culprit] : [])] })
      expect(hasProtoKey(text)).toBe(guilty || keysIn(value).includes('__proto__'))
    }),
    { numRuns: RUNS },
  )
})

test('a field is added to any object', () => {
  fc.assert(
    fc.property(objects, ({ fields, text }) => {
      const added = withField(text, 'a new "field"', '[1]')
      JSON.parse(added)
      expect([...scanObject(added).fields]).toEqual([...fields, ['a new "field"', '[1]']])
    }),
    { numRuns: RUNS },
  )
})

function nesting(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(nesting))
}

function keysIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  const own = Array.isArray(value) ? [] : Object.keys(value)
  return [...own, ...Object.values(value).flatMap(keysIn)]
}
