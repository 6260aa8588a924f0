import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { ProjectionControl } from '../../src/control/contract.ts'
import { assertNotOlder } from '../../src/generations/coordinator.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type { Comparison } from '../../src/projection/parity.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

/** The fold of a later version: it counts in cents. */
function inCents(version = 2): ProjectionDefinition {
  const before = balances()
  const handler = before.handler('moved')
  return {
    ...before,
    version,
    handler: (type) =>
      type === 'moved' && handler
        ? {
            key: handler.key,
            apply: (document: unknown, event, emit) => {
              const { account, amount } = event.data as { account: string; amount: number }
              return handler.apply(
                document as never,
                { ...event, data: { account, amount: amount * 100 } },
                emit,
              )
            },
          }
        : before.handler(type),
  }
}

test('a rebuild takes the place of what served, which is kept up to date for a rollback', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 35; index += 1) await move('ada', 1)
  await worker.settle()
  await worker.request()
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  await move('ada', 7)
  await worker.settle()
  expect(await worker.read('ada')).toMatchObject({ balance: 42, moves: 36 })
  expect(await worker.read('ada', 1)).toMatchObject({ balance: 42, moves: 36 })
  await worker.control.move('balances', 1, 'returning')
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'previous' })
  await move('ada', 8)
  await worker.settle()
  expect(await worker.read('ada')).toMatchObject({ balance: 50 })
})

test('what readers see never goes back, whenever the swap comes', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 50; index += 1) await move('ada', 1)
  await worker.settle()
  await worker.request()
  let before = 0
  for (let index = 0; index < 12; index += 1) {
    await move('bob', 1)
    await worker.coordinator.reconcile()
    expect(await worker.position()).toBeGreaterThanOrEqual(before)
    before = await worker.position()
    for (const { generations } of worker.units) {
      await generations.reconcile()
      await generations.step()
    }
    await new Promise(setImmediate)
    expect(await worker.position()).toBeGreaterThanOrEqual(before)
    before = await worker.position()
  }
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(await worker.position()).toBe(62)
})

test('a build that was ended goes on from its checkpoint, and ends as a plain fold would', async () => {
  const { move, work, data } = generations()
  const built = async () => {
    const path = viewPath(data, 'balances', { generation: 2 })
    const reader = openSqliteViewReader(path, balances())
    onTestFinished(() => reader.close())
    return reader.position()
  }
  for (let index = 0; index < 95; index += 1) await move(`account-${index % 7}`, index)
  const first = await work(balances(), { buildSteps: 3 })
  await first.settle()
  await first.request()
  await first.settle()
  expect(await first.states()).toEqual({ 1: 'active', 2: 'building' })
  await first.stop()
  expect(await built()).toBe(30)
  const second = await work(balances(), { buildSteps: 2 })
  await second.settle()
  await second.stop()
  expect(await built(), 'two batches further').toBe(50)
  const third = await work(balances())
  await third.settle()
  expect(await third.states()).toEqual({ 1: 'previous', 2: 'active' })
  const report = (await third.control.projection('balances'))?.generations[1]?.report as Comparison
  expect(report).toMatchObject({ kind: 'compared', samePosition: true, added: 0, changed: 0, removed: 0 })
  expect(report.before.hash).toBe(report.after.hash)
  expect(report.after).toMatchObject({ position: 95, documents: 7 })
})

test('a later version of the code is built anew by itself; what serves stands still meanwhile, unfolded by new code', async () => {
  const { move, work } = generations()
  const old = await work(balances())
  await move('ada', 1)
  await old.settle()
  await old.stop()
  await move('ada', 2)
  const worker = await work(inCents())
  await worker.units[0]?.generations.reconcile()
  await worker.units[0]?.generations.step()
  expect([await worker.position(), await worker.read('ada')]).toEqual([
    1,
    expect.objectContaining({ balance: 1 }),
  ])
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect([await worker.position(), await worker.read('ada')]).toEqual([
    2,
    expect.objectContaining({ balance: 300 }),
  ])
  // What the code cannot fold is kept as it was.
  expect(await worker.read('ada', 1)).toMatchObject({ balance: 1 })
})

test('code of an earlier version is refused, with what to do', async () => {
  const { move, work } = generations()
  const worker = await work(inCents())
  await move('ada', 1)
  await worker.settle()
  const state = (await worker.control.projection('balances')) as ProjectionControl
  expect(() => assertNotOlder(state, balances())).toThrow(
    /version 2.*version 1.*cqrs rollback balances --force.*version 3/s,
  )
  expect(() => assertNotOlder(state, inCents())).not.toThrow()
})

test('after a forced rollback the earlier version serves, and its code goes on where it stood', async () => {
  const { move, work } = generations()
  const old = await work(balances())
  await move('ada', 1)
  await old.settle()
  await old.stop()
  const worker = await work(inCents())
  await move('ada', 2)
  await worker.settle()
  await worker.control.move('balances', 1, 'returning', { forced: true })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'previous' })
  await worker.stop()
  const again = await work(balances())
  await again.settle()
  expect(await again.read('ada')).toMatchObject({ balance: 3, moves: 2 })
  expect(await again.states()).toEqual({ 1: 'active', 2: 'previous' })
})

test('other partitions need a rebuild, all parts of which are swapped in at once', async () => {
  const { move, work } = generations()
  const whole = await work(balances())
  for (let index = 0; index < 30; index += 1) await move(`account-${index % 9}`, 1)
  await whole.settle()
  await whole.stop()
  const split = await work({ ...balances(), partitions: 3 })
  await split.units[0]?.generations.reconcile()
  await split.coordinator.reconcile()
  await split.units[0]?.generations.reconcile()
  await split.units[1]?.generations.reconcile()
  for (let index = 0; index < 5; index += 1) {
    await new Promise(setImmediate)
    await split.coordinator.reconcile()
  }
  // The third part is not there yet.
  expect((await split.states())[1]).toBe('active')
  await split.settle()
  expect(await split.states()).toEqual({ 1: 'previous', 2: 'active' })
  await move('account-0', 5)
  await split.settle()
  expect(await split.read('account-0')).toMatchObject({ balance: 9 })
  expect(await split.read('account-1')).toMatchObject({ balance: 4 })
})

test('a generation that differs is not swapped in where parity is required, and says how it differs', async () => {
  const { move, work, data } = generations()
  const worker = await work(balances())
  await move('ada', 1)
  await move('bob', 2)
  await worker.settle()
  edit(data, `UPDATE documents SET document = '{"account":"ada","balance":1000,"moves":1}' WHERE key = 'ada'`)
  edit(data, `INSERT INTO documents (key, document) VALUES ('eve', '{"account":"eve"}')`)
  edit(data, `DELETE FROM documents WHERE key = 'bob'`)
  await worker.request({ requireParity: true })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'failed' })
  const [, failed] = (await worker.control.projection('balances'))?.generations ?? []
  expect(failed?.report).toMatchObject({ samePosition: true, added: 1, changed: 1, removed: 1 })
  expect(failed?.report).toHaveProperty('examples', [
    expect.objectContaining({
      key: 'ada',
      kind: 'changed',
      before: expect.objectContaining({ balance: 1_000 }),
    }),
    expect.objectContaining({ key: 'bob', kind: 'added', after: expect.objectContaining({ balance: 2 }) }),
    // It has no checksum.
    { key: 'eve', kind: 'removed', before: { account: 'eve' }, damaged: true },
  ])
})

test('a verification finds an edited document, changes nothing, and leaves no file', async () => {
  const { move, work, data } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 25; index += 1) await move(`account-${index % 5}`, 1)
  await worker.settle()
  await worker.request({ purpose: 'verify' })
  await worker.settle()
  expect((await worker.control.projection('balances'))?.generations[1]?.report).toMatchObject({
    changed: 0,
    after: { documents: 5 },
  })
  edit(
    data,
    `UPDATE documents SET document = replace(document, '"balance":5', '"balance":6') WHERE key = 'account-3'`,
  )
  await worker.request({ purpose: 'verify' })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'verified', 3: 'verified' })
  expect((await worker.control.projection('balances'))?.generations[2]?.report).toMatchObject({
    changed: 1,
    examples: [{ key: 'account-3' }],
  })
  expect(worker.files()).toEqual(['balances.1.db'])
})

test('a generation for inspection shows an earlier state, is never swapped in, and is pruned like others', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 40; index += 1) await move('ada', 1)
  await worker.settle()
  await worker.request({ purpose: 'inspect', until: 13 })
  await worker.settle()
  expect(await worker.states()).toEqual({ 1: 'active', 2: 'side' })
  await move('ada', 1)
  await worker.settle()
  expect(await worker.read('ada', 2)).toMatchObject({ moves: 13 })
  expect(await worker.read('ada')).toMatchObject({ moves: 41 })
  expect(await worker.control.swap('balances', 2)).toEqual({ kind: 'refused' })
  await worker.control.move('balances', 2, 'pruning')
  await worker.settle()
  expect([await worker.states(), worker.files()]).toEqual([{ 1: 'active' }, ['balances.1.db']])
})

test('a rebuild can be given up, and begun anew', async () => {
  const { move, work } = generations()
  for (let index = 0; index < 50; index += 1) await move('ada', 1)
  const worker = await work(balances(), { buildSteps: 2 })
  await worker.settle()
  await worker.request()
  await worker.settle()
  await worker.control.move('balances', 2, 'cancelling')
  await worker.settle()
  expect([await worker.states(), worker.files()]).toEqual([{ 1: 'active' }, ['balances.1.db']])
  expect(await worker.request()).toEqual({ kind: 'created', generation: 3 })
})

test('a paused projection stands still, and goes on where it stood', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  await move('ada', -1)
  await worker.settle()
  await worker.control.pause('balances', true)
  await worker.settle()
  await move('ada', 1)
  await worker.settle()
  expect([await worker.position(), await worker.send()]).toEqual([1, []])
  await worker.control.pause('balances', false)
  await worker.settle()
  expect([await worker.position(), await worker.send()]).toEqual([2, ['balances:1:1']])
})

test('a build whose end could not be noted is noted when that is possible again, without another build', async () => {
  const { move, work } = generations()
  const worker = await work(balances())
  for (let index = 0; index < 25; index += 1) await move('ada', 1)
  await worker.settle()
  const { progress } = worker.control
  let failures = 2
  worker.control.progress = async (...given) => {
    if (given[3].phase === 'following' && failures-- > 0) throw new Error('The disk is full.')
    return progress.apply(worker.control, given)
  }
  await worker.request()
  for (let index = 0; index < 10; index += 1) await worker.tick()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
})

function edit(data: string, sql: string): void {
  const db = new DatabaseSync(join(data, 'views', 'balances.1.db'))
  db.exec(sql)
  db.close()
}
