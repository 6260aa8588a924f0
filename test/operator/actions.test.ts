import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { ActionStore } from '../../src/operator/action-store.ts'
import { listActions, perform } from '../../src/operator/actions.ts'
import type { Operation } from '../../src/operator/operation.ts'
import { OPERATIONS } from '../../src/operator/operations.ts'
import { RECORDED } from '../../src/operator/recorded.ts'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'
import type { System } from '../../src/operator/system.ts'
import { tempFolder } from '../support/temp-folder.ts'

const ada = { by: 'ada', from: 'cli on desk-1' }

function systemWith(path = join(tempFolder(), 'operator.db')) {
  const actions = openSqliteActionStore(path)
  onTestFinished(() => actions.close())
  return { actions, now: () => new Date(0) } as System
}

function change(run: Operation['run'], scope: Operation['scope'] = 'change'): Operation {
  return { id: 'ops::dlq-discard', http: 'POST /ops/letters/discard', scope, what: '', run }
}

test('a change is recorded before it begins and when it has ended: who, what, when, from where, how', async () => {
  const system = systemWith()
  let seen: unknown
  const discard = change(async () => {
    seen = (await listActions(system, {})).actions[0]
    return { discarded: 1 }
  })
  await perform(system, discard, { id: 'parked:a:1', reason: 'test' }, ada)
  const begun = {
    id: 1,
    operation: 'ops::dlq-discard',
    input: { id: 'parked:a:1', reason: 'test' },
    ...ada,
    begunAt: '1970-01-01T00:00:00.000Z',
  }
  expect(seen).toEqual({ ...begun, endedAt: null, outcome: 'begun', result: null })
  expect((await listActions(system, {})).actions).toEqual([
    { ...begun, endedAt: '1970-01-01T00:00:00.000Z', outcome: 'done', result: { discarded: 1 } },
  ])
})

test('one that fails is recorded with its error; looking is not recorded', async () => {
  const system = systemWith()
  const fails = change(() => Promise.reject(new CqrsError('CQRS_NOT_FOUND', 'It is gone.')))
  await expect(perform(system, fails, {}, ada)).rejects.toThrow('It is gone.')
  await perform(
    system,
    change(async () => 1, 'read'),
    {},
    ada,
  )
  expect((await listActions(system, {})).actions).toMatchObject([
    { outcome: 'failed', result: 'CQRS_NOT_FOUND: It is gone.' },
  ])
})

test.each(['ops::dlq-redrive', 'ops::dlq-discard'])(
  'a dry run of %s is not in the record; anything else is',
  async (id) => {
    const system = systemWith()
    const real = OPERATIONS.find((one) => one.id === id) as Operation
    const operation = { ...real, run: async () => ({ matched: 3 }) }
    for (const input of [
      { all: true, dryRun: true },
      { all: true, dryRun: false },
      { all: true, dryRun: 'true' },
    ]) {
      expect(await perform(system, operation, input, ada)).toEqual({ matched: 3 })
    }
    const { actions } = await listActions(system, {})
    expect(actions.map(({ input }) => input)).toEqual([
      { all: true, dryRun: 'true' },
      { all: true, dryRun: false },
    ])
  },
)

test('what cannot be recorded is not done', async () => {
  const system = systemWith()
  system.actions.close()
  let done = false
  const act = change(async () => {
    done = true
  })
  await expect(perform(system, act, {}, ada)).rejects.toThrow()
  expect(done).toBe(false)
})

test('an action whose end cannot be recorded has the outcome that it had, for the caller too', async () => {
  const system = systemWith()
  const { end } = system.actions
  let failures = 1
  system.actions.end = async (...given) => {
    if (failures-- > 0) throw new CqrsError('CQRS_STORE_FULL', 'The disk is full.')
    await end(...given)
  }
  expect(
    await perform(
      system,
      change(async () => ({ discarded: 1 })),
      {},
      ada,
    ),
  ).toEqual({ discarded: 1 })
  failures = 1
  const fails = change(() => Promise.reject(new CqrsError('CQRS_NOT_FOUND', 'It is gone.')))
  await expect(perform(system, fails, {}, ada)).rejects.toThrow('It is gone.')
  const { actions } = await listActions(system, {})
  expect(actions.map(({ outcome, endedAt }) => [outcome, endedAt])).toEqual([
    ['begun', null],
    ['begun', null],
  ])
})

test('actions are listed page by page, newest first, also those of one operation', async () => {
  const system = systemWith()
  for (let n = 1; n <= 5; n += 1)
    await perform(
      system,
      change(async () => n),
      { n },
      ada,
    )
  const first = await listActions(system, { limit: '2' })
  expect([first.actions.map(({ id }) => id), first.next]).toEqual([[5, 4], 4])
  const second = await listActions(system, { limit: 3, before: first.next })
  expect([second.actions.map(({ id }) => id), second.next]).toEqual([[3, 2, 1], null])
  expect(await listActions(system, { operation: 'ops::prune' })).toEqual({ actions: [], next: null })
  await expect(listActions(system, { limit: 0 })).rejects.toThrow('limit')
})

test('an action whose process is killed before it ends stays, as begun', async () => {
  const path = join(tempFolder(), 'operator.db')
  const store = new URL('../../src/operator/sqlite/action-store.ts', import.meta.url).href
  const script = `
    const { openSqliteActionStore } = await import(${JSON.stringify(store)})
    await openSqliteActionStore(${JSON.stringify(path)}).begin({
      operation: 'ops::queue-purge', input: { queue: 'q' }, by: 'ada', from: 'cli', begunAt: 'now' })
    process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL'])
  expect((await listActions(systemWith(path), {})).actions).toMatchObject([
    { operation: 'ops::queue-purge', input: { queue: 'q' }, outcome: 'begun', endedAt: null },
  ])
})

test('only operations that are recorded can be asked for', async () => {
  const changes = OPERATIONS.filter(({ scope }) => scope === 'change').map(({ id }) => id)
  expect([...RECORDED].sort()).toEqual([...changes, 'events import'].sort())
  const system = systemWith()
  for (const operation of RECORDED) expect((await listActions(system, { operation })).actions).toEqual([])
  for (const operation of ['nope', 'ops::status', '']) {
    await expect(listActions(system, { operation })).rejects.toMatchObject({
      code: 'CQRS_VALIDATION',
      message: expect.stringContaining('give one of ops::dlq-redrive, ops::dlq-discard,'),
    })
  }
})

test('old actions are removed a few at a time while others begin, and no id is given twice', async () => {
  const path = join(tempFolder(), 'operator.db')
  const begun = (begunAt: string) => ({ operation: 'ops::pause', input: null, ...ada, begunAt })
  const ids = async (store: ActionStore) =>
    (await store.list({ before: 1_000, limit: 500 })).map(({ id }) => id)
  const forEver = openSqliteActionStore(path)
  for (let n = 0; n < 30; n += 1) await forEver.begin(begun('2025-01-01T00:00:00.000Z'))
  await forEver.begin(begun('2026-01-01T00:00:00.000Z'))
  expect(await ids(forEver)).toHaveLength(31)
  await forEver.close()
  const store = openSqliteActionStore(path, { keepMs: 365 * 86_400_000 })
  onTestFinished(() => store.close())
  expect(await store.begin(begun('2026-01-01T00:00:00.000Z'))).toBe(32)
  expect(await ids(store)).toHaveLength(32)
  expect(await store.begin(begun('2026-01-01T00:00:00.001Z'))).toBe(33)
  expect(await ids(store)).toEqual(Array.from({ length: 13 }, (_, n) => 33 - n))
  await store.begin(begun('2026-12-31T00:00:00.000Z'))
  expect(await ids(store)).toEqual([34, 33, 32, 31])
  await store.begin(begun('2030-01-01T00:00:00.000Z'))
  expect(await ids(store)).toEqual([35])
})

test('an action begins although old ones cannot be removed', async () => {
  const path = join(tempFolder(), 'operator.db')
  const store = openSqliteActionStore(path, { keepMs: 1 })
  onTestFinished(() => store.close())
  const db = new DatabaseSync(path)
  db.exec(`CREATE TRIGGER refuse BEFORE DELETE ON actions BEGIN SELECT raise(ABORT, 'it is damaged'); END`)
  db.close()
  const begun = { operation: 'ops::pause', input: null, ...ada }
  expect(await store.begin({ ...begun, begunAt: '2025-01-01T00:00:00.000Z' })).toBe(1)
  expect(await store.begin({ ...begun, begunAt: '2026-01-01T00:00:00.000Z' })).toBe(2)
})
