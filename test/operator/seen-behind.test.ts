import { expect, test } from 'vitest'
import { seenBehind } from '../../src/operator/seen-behind.ts'

test('a view is behind for as long as it was seen to stand at one position, whatever others do', () => {
  let now = 5_000
  const behindFor = seenBehind(() => now)
  expect(behindFor('balances', 4)).toBe(0)
  now += 30_000
  expect(behindFor('balances', 4)).toBe(30)
  expect(behindFor('alerts', 4)).toBe(0)
  now += 1_500
  expect(behindFor('balances', 4)).toBe(31.5)
  expect(behindFor('balances', 5)).toBe(0)
  now += 2_000
  expect(behindFor('balances', 5)).toBe(2)
  expect(behindFor('alerts', 4)).toBe(3.5)
})
