import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { EventLog } from '../../src/log/contract.ts'
import type { TakeOverStep, ViewStore } from '../../src/projection/contract.ts'
import { damageOf } from '../../src/projection/damage.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { takeOver } from '../../src/projection/take-over.ts'
import { ViewDecorator } from '../../src/projection/view-decorator.ts'
import { at, effect, parkedEvent, put } from '../contract/view.ts'
import { balances } from '../support/ledger-app.ts'
import { MemoryLog } from '../support/memory-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

/*
 * A takeover reads page by page, and goes on from the last row that it has read. Where a byte makes a row another one's
 * number it has to take all over, or to say that the file is damaged.
 */

const EVENTS = 12

/** More steps than any takeover of these has. */
const ENDLESS = 100

class CountedView extends ViewDecorator {
  #steps = 0

  constructor(view: ViewStore) {
    super(view)
    onTestFinished(() => view.close())
  }

  override async takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean> {
    this.#steps += 1
    expect(this.#steps).toBeLessThan(ENDLESS)
    return super.takeOver(step, expectedRevision)
  }
}

/** The closed file of a view with an effect of each event, or with all of them parked. */
async function viewFile(path: string, kind: 'effects' | 'parked'): Promise<Buffer> {
  const view = openSqliteView(path, balances())
  const positions = Array.from({ length: EVENTS }, (_, index) => index + 1)
  const parked = positions.map((position) => parkedEvent(position, { sequence: `sequence-${position}.` }))
  await put(view, {
    advanceTo: at(EVENTS),
    ...(kind === 'effects' ? { effects: positions.map((position) => effect(position)) } : { parked }),
  })
  await view.close()
  return readFileSync(path)
}

/** Changes the last of some bytes that lie before the first text of a row: its number, or how its key is stored. */
function withByte(bytes: Buffer, text: string, before: readonly number[], after: number): Buffer {
  const changed = Buffer.from(bytes)
  const start = bytes.indexOf(text)
  const found = bytes.lastIndexOf(Buffer.from(before), start - before.length)
  expect(start - found).toBeLessThan(20)
  changed[found + before.length - 1] = after
  return changed
}

function requestTo(parts: readonly ViewStore[]) {
  const log = new MemoryLog() as unknown as EventLog
  return {
    ...{ projection: 'balances', parts, aligned: true, partition: { index: 0, count: 1 } },
    ...{ log, swap: 1, now: 0, atOnce: 3 },
  }
}

test('of effects one of which has the number of another one none is left out without a word', async () => {
  const folder = tempFolder()
  const whole = await viewFile(join(folder, 'whole.db'), 'effects')
  let refused = 0
  for (let victim = 1; victim <= EVENTS; victim += 1) {
    for (const number of [2, 5, 9, 60, 100]) {
      const path = join(folder, `${victim}-${number}.db`)
      writeFileSync(path, withByte(whole, `balances:${victim}:1{`, [victim], number))
      const left = openSqliteView(path, balances())
      const next = new CountedView(openSqliteView(join(folder, `${victim}-${number}.next.db`), balances()))
      try {
        await takeOver(next, requestTo([left]))
        expect(await next.pendingEffects(100)).toHaveLength(EVENTS)
      } catch (error) {
        if (!damageOf(error)) throw error
        expect(await next.tookOver()).toBe(0)
        refused += 1
      }
      await left.close()
    }
  }
  expect(refused).toBeGreaterThan(0)
})

test('a takeover by a view of which a parked event has the number of another one ends', async () => {
  const folder = tempFolder()
  const whole = await viewFile(join(folder, 'whole.db'), 'parked')
  const left = openSqliteView(join(folder, 'left.db'), balances())
  onTestFinished(() => left.close())
  for (const number of [1, 2, 5, 9]) {
    const path = join(folder, `${number}.db`)
    writeFileSync(path, withByte(whole, `sequence-${EVENTS}.`, [EVENTS], number))
    const next = new CountedView(openSqliteView(path, balances()))
    await takeOver(next, requestTo([left])).catch((error) => {
      if (!damageOf(error)) throw error
    })
  }
})

test('an effect whose key is no text any more is taken over as damaged', async () => {
  const folder = tempFolder()
  const path = join(folder, 'left.db')
  // The types of SQLite's record format: there is no number besides that of the row, and the key is a text, or bytes, of its length.
  const text = 2 * 'balances:2:1'.length + 13
  const whole = await viewFile(path, 'effects')
  writeFileSync(path, withByte(whole, 'balances:2:1{', [0, text], text - 1))
  const left = openSqliteView(path, balances())
  onTestFinished(() => left.close())
  const next = new CountedView(openSqliteView(join(folder, 'next.db'), balances()))
  await takeOver(next, requestTo([left]))
  const taken = await next.pendingEffects(100)
  expect(taken).toHaveLength(EVENTS)
  expect(taken[1]).toMatchObject({ damaged: true })
})

test('an effect that was kept back and that no search finds is not passed over', async () => {
  const folder = tempFolder()
  const [left, next] = ['left', 'next'].map((name) =>
    openSqliteView(join(folder, `${name}.db`), balances()),
  ) as [ViewStore, ViewStore]
  onTestFinished(() => left.close())
  onTestFinished(() => next.close())
  await put(next, { withheld: [effect(1)] })
  const vandal = new DatabaseSync(join(folder, 'next.db'))
  vandal.exec('UPDATE withheld SET position = 0')
  vandal.close()
  await expect(takeOver(next, requestTo([left]))).rejects.toMatchObject({ code: 'CQRS_STORE_CORRUPT' })
  expect(await next.tookOver()).toBe(0)
})
