import { expect, test } from 'vitest'
import { KeptSize } from '../../src/kernel/kept-size.ts'

function sizeOf(value: unknown): number {
  const size = new KeptSize()
  size.note(value)
  return size.of(1)
}

test('what a state holds is counted, whatever it is made of', () => {
  const text = 'x'.repeat(1_000)
  for (const state of [
    { text },
    [[text]],
    new Map([['key', { text }]]),
    new Map([[text, 1]]),
    new Set([text]),
  ]) {
    expect(sizeOf(state), String(state)).toBeGreaterThan(1_000)
    expect(sizeOf(state), String(state)).toBeLessThan(1_300)
  }
  expect(sizeOf(Array.from({ length: 300_000 }, () => 1))).toBeGreaterThan(300_000)
})

test('a state that contains itself, or nests deeply, has a size as well', () => {
  // What a decider folds need not be JSON.
  const parent: { name: string; children: object[] } = { name: 'parent', children: [] }
  parent.children.push({ parent }, { parent })
  expect(sizeOf(parent)).toBeLessThan(1_000)
  let chain: object = {}
  for (let length = 0; length < 100_000; length += 1) chain = { next: chain }
  expect(sizeOf(chain)).toBeGreaterThan(100_000)
})

test('the larger values are, the fewer of them are measured', () => {
  const measurements = (parts: number) => {
    const size = new KeptSize()
    let measured = 0
    const value = {
      get parts() {
        measured += 1
        return Array.from({ length: parts }, () => 1)
      },
    }
    for (let noted = 0; noted < 130; noted += 1) size.note(value)
    return measured
  }
  expect(measurements(10)).toBe(10)
  expect(measurements(10_000)).toBe(1)
})
