import { describe, expect, onTestFinished, test } from 'vitest'
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

function buffered(view: ViewStore, ms = 1e9) {
  const heldBackMs = { first: ms, least: ms, most: ms }
  const buffer = new BufferedView(view, {
    maxDocuments: 1_000,
    maxBytes: 64_000_000,
    heldBackMs,
    now: () => 0,
  })
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

test('a build that another writer overtakes continues from what the other one has stored', async () => {
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

describe('how long changes are held back', () => {
  /** A view with a buffer whose clock stands; `commits` tells how many documents each commit has written. */
  function heldBack(world = ledger(balances()), maxDocuments = 1_000, maxBytes = 64_000_000) {
    const commits: number[] = []
    class Counting extends ViewDecorator {
      override async commit(change: Parameters<ViewStore['commit']>[0]) {
        commits.push([...change.documents].length)
        return super.commit(change)
      }
    }
    const clock = { now: 0 }
    const heldBackMs = { first: 100, least: 500, most: 2_000 }
    const view = new BufferedView(new Counting(world.openView()), {
      maxDocuments,
      maxBytes,
      heldBackMs,
      now: () => clock.now,
    })
    onTestFinished(() => view.close())
    const building = world.projector({ view, documentCache: { documents: 0, bytes: 64_000_000 } })
    /** Applies a movement of each account after so many milliseconds; a batch of a single one would be stored at once. */
    const after = async (ms: number, ...accounts: string[]) => {
      clock.now += ms
      for (const account of accounts) await world.move(account, 1)
      await toHead(building)
    }
    return { world, view, commits, after }
  }

  test('the first changes of an empty view are stored at once, so that its build is known to have begun', async () => {
    const { commits, after } = heldBack()
    await after(0, 'ada', 'bob')
    await after(99, 'bob', 'eve')
    expect(commits).toEqual([])
    await after(1, 'ada', 'eve')
    expect(commits).toEqual([3])
  })

  test('documents that go on changing are written once for all changes, but wait no longer than they may', async () => {
    const { commits, after } = heldBack()
    await after(0, 'ada', 'bob')
    await after(100, 'ada', 'bob')
    await after(0, 'ada', 'bob')
    for (const ms of [500, 500, 500, 499]) await after(ms, 'bob', 'eve')
    expect(commits).toEqual([2])
    await after(1, 'ada', 'eve')
    expect(commits).toEqual([2, 3])
  })

  test('documents that have changed so often that more waiting saves little are stored', async () => {
    const { commits, after } = heldBack()
    await after(0, 'ada', 'ada')
    await after(100, 'ada', 'ada')
    await after(0, 'ada', 'ada', 'ada', 'ada')
    await after(499, 'ada', 'ada', 'ada', 'ada')
    expect(commits).toEqual([1])
    await after(1, 'ada', 'ada')
    expect(commits).toEqual([1, 1])
  })

  test('a build that was interrupted stores what it has as soon as it may', async () => {
    const { world, view, after } = heldBack()
    await after(0, 'ada', 'bob')
    await view.close()
    const again = heldBack(world)
    await again.after(0, 'ada', 'bob')
    await again.after(499, 'ada', 'bob')
    expect(again.commits).toEqual([])
    await again.after(1, 'eve', 'kim')
    expect(again.commits).toEqual([4])
    expect(await world.document('ada')).toMatchObject({ balance: 3, moves: 3 })
  })

  test('with larger documents than memory was given, they are stored and dropped', async () => {
    const { commits, after } = heldBack(undefined, 1_000, 500)
    await after(0, 'ada', 'bob')
    expect(commits).toEqual([])
    await after(0, 'kim', 'eve', 'ann', 'joe', 'sue')
    expect(commits).toEqual([7])
  })

  test('with more documents than are kept, they are stored, dropped and read again', async () => {
    const { world, view, commits, after } = heldBack(undefined, 3)
    await after(0, 'ada', 'bob')
    expect(commits).toEqual([])
    await after(0, 'ada', 'eve')
    expect(commits).toEqual([3])
    await after(0, 'ada', 'bob')
    await after(0, 'kim', 'eve')
    expect(commits).toEqual([3, 4])
    await view.flush()
    const moves = { ada: 3, bob: 2, eve: 2, kim: 1 }
    for (const [account, count] of Object.entries(moves))
      expect(await world.document(account)).toMatchObject({ balance: count, moves: count })
  })
})
