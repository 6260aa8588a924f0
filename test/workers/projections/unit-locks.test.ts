import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { unitsOf } from '../../../src/kernel/unit.ts'
import { tryOwn } from '../../../src/sqlite/owner-lock.ts'
import { findOtherSplit, seatLock, tryOwnUnit } from '../../../src/workers/projections/unit-locks.ts'
import { balances } from '../../support/ledger-app.ts'
import { tempFolder } from '../../support/temp-folder.ts'

function partOf(count: number, index: number) {
  const unit = unitsOf({ ...balances(), partitions: count })[index]
  if (!unit) throw new Error(`There is no part ${index} of ${count}.`)
  return unit
}

/** A data folder in which units are owned. */
function locks() {
  const data = tempFolder()
  const own = (count: number, index: number) => {
    const outcome = tryOwnUnit(data, partOf(count, index))
    if (outcome.kind === 'owned') onTestFinished(outcome.lock.release)
    return outcome
  }
  return { data, own }
}

test.each([
  [1, 3],
  [3, 1],
  [2, 3],
  [3, 2],
])(
  'while a part of %i is worked on there is nobody who works on a part of %i, until the last has ended',
  (one, other) => {
    const { data, own } = locks()
    const held = Array.from({ length: one }, (_, index) => own(one, index))
    expect(held.map(({ kind }) => kind)).toEqual(held.map(() => 'owned'))
    expect(own(one, 0)).toEqual({ kind: 'taken' })
    for (const outcome of held) {
      for (let index = 0; index < other; index += 1) {
        expect(own(other, index)).toEqual({ kind: 'split otherwise', pid: process.pid })
      }
      expect(findOtherSplit(data, partOf(one, 0))).toBeUndefined()
      expect(findOtherSplit(data, partOf(other, 0))).toEqual({ pid: process.pid })
      if (outcome.kind === 'owned') outcome.lock.release()
    }
    expect(own(other, other - 1).kind).toBe('owned')
    expect(own(one, 0)).toEqual({ kind: 'split otherwise', pid: process.pid })
  },
)

test('a lock of a part that does not say of how many keeps every split away', () => {
  const { data, own } = locks()
  writeFileSync(join(data, 'projections.balances-of-all.0of7.lock'), '')
  const before = tryOwn(join(data, 'projections.balances.0.lock'))
  if (before.held) onTestFinished(before.lock.release)
  expect(own(2, 0)).toMatchObject({ kind: 'split otherwise' })
  expect(own(1, 0)).toMatchObject({ kind: 'split otherwise' })
})

test('only processes that split alike count each other', () => {
  const { data } = locks()
  const seat = (count: number) => seatLock(data, unitsOf({ ...balances(), partitions: count }), 0)
  expect(seat(2)).toBe(seat(2))
  expect(new Set([seat(1), seat(2), seat(3)]).size).toBe(3)
})
