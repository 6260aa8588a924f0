import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { BuildProgress } from '../../../src/generations/place.ts'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { AUDIT_START, auditStep } from '../../../src/projection/audit.ts'
import { openSqliteViewReader } from '../../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../../src/projection/sqlite/view-store.ts'
import { startBuildThread } from '../../../src/workers/builds/start-build.ts'
import { compareInThread } from '../../../src/workers/projections/view-storage.ts'
import { damageView } from '../../support/damage-view.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import app from '../../support/troubled-app.ts'
import { until } from '../../support/until.ts'

const projection = app.projections.get('troubled') as NonNullable<ReturnType<typeof app.projections.get>>

/** An object with what another has besides, accessors as they are. */
const withAccessors = <Value extends object>(more: object, value: Value): Value =>
  Object.defineProperties(value, Object.getOwnPropertyDescriptors(more))

/** A log with one movement for each of `accounts`, and builds of the view over it. */
async function site(
  accounts: readonly string[],
  { cachedDocuments = 1_000, batchSize = 50, isLiveBehind = false, takesOver = true } = {},
) {
  const folder = tempFolder()
  const file = (name: string) => join(folder, name)
  const paths = { log: file('events.db'), active: file('troubled.1.db'), view: file('troubled.2.db') }
  const log = openSqliteEventLog({ path: paths.log })
  onTestFinished(() => log.close())
  const versions = new Map<string, number>()
  for (const account of accounts) {
    const version = versions.get(account) ?? 0
    versions.set(account, version + 1)
    await log.append({
      stream: account,
      expectedVersion: version,
      events: [{ type: 'moved', schemaVersion: 1, data: { account, amount: version + 1 } }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
  const start = (hangMs = 20_000, more: object = {}) => {
    const seen: BuildProgress[] = []
    const done = Promise.withResolvers<number>()
    const build = startBuildThread({
      order: withAccessors(more, {
        app: new URL('../../support/troubled-app.ts', import.meta.url).pathname,
        projection: 'troubled',
        partition: { index: 0, count: 1 },
        log: paths.log,
        view: paths.view,
        until: 'head',
        owing: [{ path: paths.active, version: 1 }],
        takesOver,
        policy: { maxAttempts: 1, baseMs: 10, capMs: 10 },
        batchSize,
        batchBytes: 1_000_000,
        cachedDocuments,
        cachedBytes: 64_000_000,
        heldBackMs: 10_000,
      }),
      events: {
        onProgress: (progress) => void seen.push(progress),
        onDone: done.resolve,
        onDamage: (damage) => done.reject(new Error(damage.reason, { cause: damage })),
      },
      hangMs,
      isLiveBehind: () => isLiveBehind,
      log: pino({ level: 'silent' }),
    })
    onTestFinished(() => build.stop())
    return { build, seen, done: done.promise }
  }
  const view = () => {
    const reader = openSqliteViewReader(paths.view, projection)
    onTestFinished(() => reader.close())
    return reader
  }
  return { log, paths, start, view }
}

test('a part is built with its indexes, and its digest is that of a live view', async () => {
  const { log, paths, start, view } = await site(
    Array.from({ length: 230 }, (_, index) => `account-${index % 9}`),
  )
  const { done, seen } = start()
  expect(await done).toBe(230)
  const reader = view()
  expect(await reader.find({ by: 'balance', limit: 1, order: 'descending' })).toMatchObject({
    items: [{ account: 'account-4', balance: 351 }],
  })
  const marks = await reader.marks(0)
  const audit = await auditStep({
    log,
    types: new Set(['moved']),
    progress: AUDIT_START,
    marks,
    limit: 1_000,
  })
  expect(audit).toMatchObject({ kind: 'agrees', progress: { position: 230, processed: 230 } })
  expect(seen.map(({ phase }) => phase)).toContain('indexing')
  const db = new DatabaseSync(paths.view, { readOnly: true })
  const indexes = db.prepare(`SELECT name FROM sqlite_schema WHERE name GLOB 'documents_by_*'`).all()
  db.close()
  expect(indexes).toEqual([{ name: 'documents_by_balance' }])
})

test('what fails parks its own sequence in order, and all others go on', async () => {
  const { start, view } = await site(['ada', 'throws', 'bob', 'throws', 'ada'])
  const { done } = start()
  await done
  expect(await view().standing()).toMatchObject({ position: 5, parked: { dead: 1, waiting: 1 } })
  expect(await view().get('ada')).toMatchObject({ balance: 3 })
})

test('a handler that ends the thread is blamed after it did so twice, and the build goes on', async () => {
  const { start, view } = await site(['ada', 'ada', 'ends', 'bob', 'ends'])
  const { done, seen } = start()
  await done
  expect(await view().standing()).toMatchObject({ position: 5, parked: { dead: 1, waiting: 1 } })
  expect(await view().get('bob')).toMatchObject({ balance: 1 })
  expect(seen.find(({ error }) => error !== undefined)?.error).toMatch(/ended with code 3/)
})

test('a handler that never returns is ended and blamed, while this thread is free', async () => {
  const { start, view } = await site(['ada', 'hangs', 'bob'])
  let turns = 0
  const counting = setInterval(() => (turns += 1), 10)
  onTestFinished(() => clearInterval(counting))
  const { done } = start(600)
  await done
  expect(await view().standing()).toMatchObject({ position: 3, parked: { dead: 1 } })
  expect(await view().get('bob')).toMatchObject({ balance: 1 })
  expect(turns, 'turns of this event loop meanwhile').toBeGreaterThan(50)
})

test.each(['header page', 'document'] as const)(
  'a build that meets a damaged %s of its own ends for good, and says which file it is',
  async (kind) => {
    const { start, paths } = await site(Array.from({ length: 40 }, (_, index) => `account-${index}`))
    await start().done
    const db = new DatabaseSync(paths.view)
    // As if it had died before it was indexed.
    db.exec('DROP INDEX documents_by_balance')
    db.close()
    damageView(paths.view, kind, '{"account":"account-7"')
    const { done, seen } = start()
    await expect(done).rejects.toMatchObject({ cause: { file: paths.view } })
    expect(seen.filter(({ error }) => error !== undefined)).toEqual([])
  },
)

test('a build that is stopped keeps what it has, and another one goes on from there', async () => {
  const { start, view } = await site(Array.from({ length: 400 }, (_, index) => `account-${index % 40}`))
  const first = start()
  await until('it has got somewhere', () => first.seen.some(({ position }) => position > 0))
  await first.build.stop()
  const kept = await view().position()
  expect(kept).toBeGreaterThan(0)
  const second = start()
  expect(await second.done).toBe(400)
  expect(second.seen[0]?.position, 'where it begins').toBe(kept)
  expect(await view().get('account-39')).toMatchObject({ balance: 55 })
})

test('a build whose documents do not fit into memory makes the same view', async () => {
  const accounts = Array.from({ length: 400 }, (_, index) => `account-${(index * 7) % 40}`)
  const small = await site(accounts, { cachedDocuments: 5 })
  const large = await site(accounts)
  await Promise.all([small.start().done, large.start().done])
  for (const account of accounts.slice(0, 40)) {
    expect(await small.view().get(account)).toEqual(await large.view().get(account))
    expect(await small.view().get(account)).toMatchObject({ balance: 55 })
  }
})

test.each([true, false])(
  'what is given up while a part is built is not applied there (it takes over effects: %s)',
  async (takesOver) => {
    const { start, view, paths } = await site(
      [...Array.from({ length: 200 }, () => 'ada'), 'bob'],
      // So slow that the decision is there long before the build is where it matters.
      { batchSize: 1, isLiveBehind: true, takesOver },
    )
    const active = openSqliteView(paths.active, projection)
    onTestFinished(() => active.close())
    const { done, seen } = start()
    await until('it has got somewhere', () => seen.some(({ position }) => position > 0))
    const event = { position: 201, sequence: 'bob', type: 'moved', status: 'dead', dueAt: 0 } as const
    const parked = { ...event, attempts: 1, failures: [], parkedAt: '2026-01-01T00:00:00.000Z' }
    await active.commit({
      expectedRevision: 0,
      documents: [],
      parked: [],
      settled: [],
      effects: [],
      discarded: [{ event: parked, by: 'eve', reason: 'a test', at: '2026-01-01T00:00:00.000Z' }],
    })
    expect(await done).toBe(201)
    expect(await view().get('ada')).toMatchObject({ balance: 20_100 })
    expect(await view().get('bob')).toBeUndefined()
  },
)

test('a build leaves the processor to its live view as long as that is behind, and gets on all the same', async () => {
  const { start } = await site(
    Array.from({ length: 100 }, () => 'ada'),
    { batchSize: 1, isLiveBehind: true },
  )
  const { done, seen } = start()
  expect(await done).toBe(100)
  const positions = seen.map(({ position }) => position)
  const steps = positions.slice(1).map((position, index) => position - Number(positions[index]))
  // It waits 10 ms after each batch and reports every 200 ms, however fast or slow the machine is.
  expect(Math.max(...steps), `batches between two reports of ${positions}`).toBeLessThanOrEqual(25)
})

test('a build whose thread cannot be started is tried again, and ends', async () => {
  const { start } = await site(['ada'])
  let tries = 0
  const more = {
    get batchSize() {
      tries += 1
      // What cannot be handed over is refused at once, as is a thread when the system gives none.
      return tries < 3 ? () => 50 : 50
    },
  }
  const { done, seen } = start(20_000, more)
  expect(await done).toBe(1)
  expect(seen.slice(0, 2).map(({ error }) => error)).toEqual([
    expect.stringContaining('cannot be started'),
    expect.stringContaining('cannot be started'),
  ])
})

test('a comparison whose thread cannot be started fails, so that it is begun again', async () => {
  const uncloneable = (() => 'troubled') as unknown as string
  await expect(compareInThread(tempFolder(), uncloneable, [], [])).rejects.toThrow('could not be cloned')
})
