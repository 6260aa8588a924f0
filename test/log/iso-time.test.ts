import { expect, test } from 'vitest'
import { isoTime } from '../../src/log/sqlite/iso-time.ts'

test.each([
  [0, 7],
  [-1, -1_000],
  [1_700_000_000_000, 1_700_000_000_999, 1_700_000_001_000, 1_700_000_000_001],
  [-62_198_755_200_000, 253_402_300_800_000],
  [8.64e15, -8.64e15],
])('times are written as Date writes them, whatever was written before: %d, %d …', (...times) => {
  expect(times.map(isoTime)).toEqual(times.map((time) => new Date(time).toISOString()))
})

test('a time that is none is refused', () => {
  expect(() => isoTime(8.64e15 + 1_000)).toThrow(RangeError)
  expect(isoTime(5)).toBe(new Date(5).toISOString())
})
