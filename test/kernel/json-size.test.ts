import { expect, test } from 'vitest'
import { nestsDeeper, oversizeOf } from '../../src/kernel/json-size.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'

const seed = testSeed()

test(`the size of a value is returned only if its JSON has more bytes than the limit (seed ${seed})`, () => {
  const random = seededRandom(seed)
  const texts = ['', 'a', 'é', '\u{1f600}', '\u0001', '"\\', '\ud800', 'x'.repeat(50)]
  const text = () => (texts[between(random, 0, texts.length - 1)] as string).repeat(between(random, 0, 20))
  const value = (depth: number): unknown => {
    const kind = between(random, 0, depth > 4 ? 3 : 6)
    if (kind === 0) return [null, true, -1.5e-300, undefined][between(random, 0, 3)]
    if (kind < 4) return text()
    const parts = Array.from({ length: between(random, 0, 6) }, () => value(depth + 1))
    return kind === 4 ? parts : Object.fromEntries(parts.map((part) => [text(), part]))
  }
  for (let round = 0; round < 2_000; round += 1) {
    const made = value(0)
    const bytes = Buffer.byteLength(JSON.stringify(made) ?? '')
    for (const limit of [bytes - 1, bytes, bytes + 1, bytes * 3, 200]) {
      expect(oversizeOf(made, limit)).toBe(bytes > limit ? bytes : undefined)
    }
  }
})

test('nesting levels count arrays and objects within each other', () => {
  expect(nestsDeeper([[{ a: 1 }]], 3)).toBe(false)
  expect(nestsDeeper([[{ a: [] }]], 3)).toBe(true)
  expect(nestsDeeper('text', 0)).toBe(false)
})
