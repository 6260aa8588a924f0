import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import { BufferedView } from '../../src/projection/buffered-view.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { ViewDecorator } from '../../src/projection/view-decorator.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

/** A view whose disk is full for some commits. */
class FullNowAndThen extends ViewDecorator {
  full = 0

  override async commit(change: Parameters<ViewStore['commit']>[0]) {
    if (this.full === 0) return super.commit(change)
    this.full -= 1
    throw new CqrsError('CQRS_STORE_FULL', 'The disk is full.')
  }
}

function buffered(view: ViewStore, minMs = 1e9) {
  const buffer = new BufferedView(view, { maxDocuments: 1_000, minMs, readerKeeps: 1_000, now: () => 0 })
  onTestFinished(() => buffer.close())
  return buffer
}

test('an event whose parking could not be stored is not passed over when the view is closed', async () => {
  const world = ledger(balances({ fails: (account) => account === 'bob' }))
  for (const account of ['ada', 'bob', 'ada']) await world.move(account, 1)
  const disk = new FullNowAndThen(world.openView())
  const view = buffered(disk)
  const building = world.projector({ view })
  disk.full = 1
  await expect(toHead(building)).rejects.toThrow('The disk is full.')
  // There is room again.
  await view.close()
  const next = buffered(world.openView())
  await toHead(world.projector({ view: next }))
  await next.close()
  expect((await world.view.checkpoint()).position).toBe(3)
  expect(await world.view.parkedCounts()).toMatchObject({ retrying: 1 })
  expect(await world.document('ada')).toMatchObject({ balance: 2, moves: 2 })
})

test('an event whose retry could not be stored is not applied twice', async () => {
  const ill = new Set(['bob'])
  const world = ledger(balances({ fails: (account) => ill.has(account) }))
  await world.move('bob', 1)
  const disk = new FullNowAndThen(world.openView())
  const view = buffered(disk)
  const building = world.projector({ view })
  await toHead(building)
  ill.clear()
  world.clock.now += 10_000
  disk.full = 1
  await expect(building.retryDue()).rejects.toThrow('The disk is full.')
  await view.close()
  const live = world.projector()
  await live.retryDue()
  expect(await world.document('bob')).toMatchObject({ balance: 1, moves: 1 })
  expect(await world.view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('after a commit that failed, documents that were held back are made again', async () => {
  const world = ledger(balances())
  await world.move('ada', 1)
  const disk = new FullNowAndThen(world.openView())
  const view = buffered(disk, 0)
  const building = world.projector({ view })
  disk.full = 1
  await expect(building.step()).rejects.toThrow('The disk is full.')
  await world.move('ada', 2)
  await toHead(building)
  await view.close()
  expect(await world.document('ada')).toMatchObject({ balance: 3, moves: 2 })
})

test('a build that another writer overtakes goes on from what that one has stored', async () => {
  const world = ledger(balances())
  for (const amount of [1, 2]) await world.move('ada', amount)
  const view = buffered(world.openView())
  const building = world.projector({ view, batchSize: 2 })
  await toHead(building)
  const other = world.projector({ batchSize: 1 })
  await other.step()
  for (const account of ['ada', 'bob']) await world.move(account, 3)
  await building.step()
  await view.flush()
  await other.step()
  await toHead(building)
  await world.move('bob', 4)
  await toHead(building)
  await view.flush()
  expect(await world.document('ada')).toMatchObject({ balance: 6, moves: 3 })
  expect(await world.document('bob')).toMatchObject({ balance: 7, moves: 2 })
})
