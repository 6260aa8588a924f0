import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CommandExecutor } from '../../src/command/execute.ts'
import type { App } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { Projector } from '../../src/projection/projector.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { loadApp } from '../../src/workers/load-app.ts'
import { toHead } from '../support/ledger.ts'
import { tempFolder } from '../support/temp-folder.ts'
import lockers, { getParcel, listParcels, lockerHistory, parcels, pickupNotice } from './example-app.ts'
import banks from './readme-app.ts'

const NOW = '2024-01-01T00:00:00.000Z'

/** An app on real stores in a folder of its own, without an engine: commands, log, projectors, views. */
function run(app: App) {
  const folder = tempFolder()
  const log = openSqliteEventLog({ path: join(folder, 'events.db'), now: () => Date.parse(NOW) })
  onTestFinished(() => log.close())
  const executor = new CommandExecutor({
    app,
    log,
    streamCacheSize: 10,
    conflictRetries: 1,
    onAppended: () => {},
    now: () => new Date(NOW),
  })
  return {
    log,
    execute: (name: string, input: unknown, idempotencyKey?: string) =>
      executor.execute(name, input, { commandId: 'c', ...(idempotencyKey && { idempotencyKey }) }),
    /** Brings a view to the head; gives its writer and its reader. */
    async view<Document, Index extends string>(projection: ProjectionDefinition<Document, Index>) {
      const path = join(folder, `${projection.name}.1.db`)
      const store = openSqliteView(path, projection)
      const reader = openSqliteViewReader(path, projection)
      onTestFinished(async () => {
        await reader.close()
        return store.close()
      })
      const projector = new Projector({
        projection,
        catalog: app.events,
        log,
        view: store,
        policy: { maxAttempts: 5, baseMs: 200, capMs: 60_000 },
        turns: new Turns(),
        batchSize: 1_000,
        documentCache: { documents: 0, bytes: 64_000_000 },
        now: () => Date.parse(NOW),
        random: () => 0.5,
      })
      await toHead(projector)
      return { store, reader: reader as never }
    },
  }
}

const deposit = (parcel: string, recipient = 'ada@example.com') => ({
  locker: 'station-1',
  parcel,
  recipient,
})

test('the app of the guide works on real stores: commands, views, queries, one notice', async () => {
  const { execute, view, log } = run(lockers)
  await execute('install-locker', { locker: 'station-1', boxes: 5 })
  await execute('deposit-parcel', deposit('p-1'), 'scan-4711')
  expect(await execute('deposit-parcel', deposit('p-1'), 'scan-4711')).toMatchObject({ replayed: true })
  await execute('deposit-parcel', deposit('p-2'))
  await execute('deposit-parcel', deposit('p-3', 'bob@example.com'))
  await execute('collect-parcel', { locker: 'station-1', parcel: 'p-1' })

  const { reader } = await view(parcels)
  expect(await listParcels.run(reader, { recipient: 'ada@example.com', limit: 10 })).toMatchObject({
    items: [
      { parcel: 'p-1', status: 'collected' },
      { parcel: 'p-2', status: 'waiting' },
    ],
  })
  expect(await getParcel.run(reader, { locker: 'station-1', parcel: 'p-2' })).toEqual({
    ...deposit('p-2'),
    status: 'waiting',
    since: NOW,
  })
  expect(await getParcel.run(reader, { locker: 'station-1', parcel: 'p-9' })).toMatchObject({
    code: 'unknown_parcel',
  })
  expect(await lockerHistory.run(log, { locker: 'station-1', limit: 1 })).toMatchObject([
    { type: 'parcel-collected', version: 5 },
  ])

  const { store } = await view(pickupNotice)
  expect(await store.pendingEffects(10)).toMatchObject([
    { idempotencyKey: 'pickup-notice:2:1', effect: { topic: 'parcels.ready', data: deposit('p-1') } },
    { idempotencyKey: 'pickup-notice:4:1', effect: { data: { recipient: 'bob@example.com' } } },
  ])
})

test('an event of the first version is read in the shape of the second, by decider and view', async () => {
  const { execute, view, log } = run(lockers)
  await execute('install-locker', { locker: 'station-1', boxes: 1 })
  await log.append({
    stream: 'locker-station-1',
    expectedVersion: 1,
    events: [
      {
        type: 'parcel-deposited',
        schemaVersion: 1,
        data: { locker: 'station-1', parcel: 'old', email: 'ada@example.com' },
      },
    ],
    metadata: { commandId: 'c', correlationId: 'c' },
  })
  const { reader } = await view(parcels)
  expect(await getParcel.run(reader, { locker: 'station-1', parcel: 'old' })).toMatchObject({
    recipient: 'ada@example.com',
  })
  const collected = await execute('collect-parcel', { locker: 'station-1', parcel: 'old' })
  expect(collected).toMatchObject({ kind: 'accepted', version: 3 })
  expect(await log.history('locker-station-1', { limit: 1 })).toMatchObject([
    { type: 'parcel-collected', data: deposit('old') },
  ])
})

test('an event that does not parse parks its own locker; the other lockers go on', async () => {
  const { execute, view, log } = run(lockers)
  await log.append({
    stream: 'locker-broken',
    expectedVersion: 0,
    events: [{ type: 'parcel-deposited', schemaVersion: 2, data: { locker: 'broken', parcel: 'p-1' } }],
    metadata: { commandId: 'c', correlationId: 'c' },
  })
  await execute('install-locker', { locker: 'station-1', boxes: 1 })
  await execute('deposit-parcel', deposit('p-1'))
  const { store, reader } = await view(parcels)
  expect(await store.sequence('locker-broken', 10)).toMatchObject([{ position: 1, status: 'retrying' }])
  expect(await getParcel.run(reader, { locker: 'station-1', parcel: 'p-1' })).toMatchObject(deposit('p-1'))
  await expect(execute('collect-parcel', { locker: 'broken', parcel: 'p-1' })).rejects.toMatchObject({
    code: 'CQRS_EVENT_UNREADABLE',
  })
})

test('the app of the README works on real stores, and can be loaded as it stands there', async () => {
  const { execute, view } = run(banks)
  await execute('save', { owner: 'ada', cents: 500 })
  await execute('save', { owner: 'bob', cents: 700 })
  expect(await execute('spend', { owner: 'ada', cents: 200 })).toMatchObject({ kind: 'accepted' })
  expect(await execute('spend', { owner: 'ada', cents: 400 })).toMatchObject({
    kind: 'rejected',
    rejection: { code: 'too_little', details: { balance: 300 } },
  })
  const balances = banks.projections.get('balances') as ProjectionDefinition
  const { reader } = await view(balances)
  expect(await banks.queries.get('richest')?.run(reader, {})).toMatchObject({
    items: [
      { owner: 'bob', cents: 700 },
      { owner: 'ada', cents: 300 },
    ],
  })
  const path = join(import.meta.dirname, 'readme-app.ts')
  expect((await loadApp(path)).name).toBe('banks')
})
