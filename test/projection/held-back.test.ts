import { expect, onTestFinished, test } from 'vitest'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { wholeView } from '../../src/projection/partitioned-view.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

const failsOnce = { maxAttempts: 1, baseMs: 1, capMs: 1 }

/** A ledger whose view is read on a connection of its own, as queries do. */
function readLedger(projection: ProjectionDefinition) {
  const world = ledger(projection)
  const reader = openSqliteViewReader(world.viewPath, projection)
  onTestFinished(() => reader.close())
  return { ...world, reader }
}

test('readers are told how many events their view lacks, until each is applied or given up', async () => {
  const state = { ill: true }
  const { move, projector, reader } = readLedger(balances({ fails: (name) => name !== 'bob' && state.ill }))
  const live = projector({ policy: failsOnce })
  expect(await reader.freshness()).toEqual({ position: 0, parked: 0 })
  for (const account of ['ada', 'bob', 'ada', 'cy']) await move(account, 1)
  await toHead(live)
  expect(await reader.freshness()).toEqual({ position: 4, parked: 3 })

  state.ill = false
  await live.redrive(1)
  await live.retryDue()
  expect(await reader.freshness()).toEqual({ position: 4, parked: 1 })

  await live.discard(4, 'ops@example.org', 'a test')
  expect(await reader.freshness()).toEqual({ position: 4, parked: 0 })
})

test('readers are told of an event that another process parks together with its position', async () => {
  const { move, projector, reader } = readLedger(balances({ fails: (account) => account === 'ada' }))
  const live = projector({ batchSize: 1 })
  const seen: unknown[] = []
  for (const account of ['bob', 'ada', 'bob', 'ada']) {
    await move(account, 1)
    await live.step()
    seen.push(await reader.freshness(), await reader.freshness())
  }
  const each = [0, 1, 1, 2].map((parked, index) => ({ position: index + 1, parked }))
  expect(seen).toEqual(each.flatMap((one) => [one, one]))
})

test('a partitioned view lacks what any of its parts lacks', async () => {
  const failing = balances({ fails: (account) => account === 'ada' })
  const worlds = [readLedger(failing), readLedger(failing)]
  for (const { move, projector } of worlds) {
    await move('ada', 1)
    await toHead(projector())
  }
  await worlds[0]?.move('bob', 1)
  await toHead((worlds[0] as (typeof worlds)[0]).projector())
  const whole = wholeView(worlds.map(({ reader }) => reader))
  expect(await whole.freshness()).toEqual({ position: 1, parked: 2 })
})
