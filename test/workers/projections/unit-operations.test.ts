import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { App } from '../../../src/kernel/app.ts'
import { PAGE_BYTES } from '../../../src/log/contract.ts'
import { listLetters, showLetter } from '../../../src/operator/letters/letters.ts'
import { redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'
import type { EffectPlace, RecordedEffect, ViewStore } from '../../../src/projection/contract.ts'
import type { EffectSender } from '../../../src/projection/effect-sender.ts'
import { ProjectionRunner, type RunnerOptions } from '../../../src/projection/runner.ts'
import { ViewDecorator } from '../../../src/projection/view-decorator.ts'
import { storeFiles } from '../../../src/sqlite/store-files.ts'
import type { LiveUnit } from '../../../src/workers/projections/live-unit.ts'
import { unitOperations } from '../../../src/workers/projections/unit-operations.ts'
import { put } from '../../contract/view.ts'
import { generations, type Worker } from '../../support/generations.ts'
import { ledger } from '../../support/ledger.ts'
import { balances } from '../../support/ledger-app.ts'

/** What operators are told of the letters of a worker's unit. */
async function told(worker: Worker) {
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const offered = unitOperations({ unit, view: live.view } as unknown as LiveUnit)
  const ask = async (functionId: string, payload: unknown) =>
    functionId === 'engine::queue::dlq_topics'
      ? []
      : offered.find(({ id }) => id === functionId)?.handle(payload, undefined)
  const app = { projections: new Map([['balances', unit.projection]]) } as unknown as App
  const { letters, incomplete } = await listLetters({ app, ask } as unknown as System, {})
  return { letters: letters.length, incomplete: incomplete.map(({ source, error }) => [source, error]) }
}

/** A view with a letter, whose worker has ended. */
async function site() {
  const found = generations()
  const worker = await found.work(balances({ fails: () => true }))
  await found.move('ada', 1)
  await worker.settle()
  expect(await told(worker)).toEqual({ letters: 1, incomplete: [] })
  await worker.stop()
  return found
}

test('letters of a view that stands still until its rebuild are left out by name, and there again afterwards', async () => {
  const found = await site()
  const gate = Promise.withResolvers<void>()
  const newer = await found.work({ ...balances({ fails: () => true }), version: 2 }, { gate: gate.promise })
  for (const { generations: live } of newer.units) await live.reconcile()
  const says = expect.stringContaining('wait for its rebuild')
  expect(await told(newer)).toEqual({
    letters: 0,
    incomplete: [
      ['parked', says],
      ['effect', says],
    ],
  })
  gate.resolve()
  await newer.settle()
  expect(await told(newer)).toEqual({ letters: 1, incomplete: [] })
})

test('letters of a view whose file cannot be opened are left out by name', async () => {
  const found = await site()
  const [file = '', ...beside] = storeFiles(join(found.data, 'views', 'balances.1.db'))
  for (const each of [file, ...beside]) writeFileSync(each, 'no store'.repeat(1_000))
  const worker = await found.work(balances())
  for (const { generations: live } of worker.units) await live.reconcile()
  const says = expect.stringContaining('is damaged')
  expect(await told(worker)).toEqual({
    letters: 0,
    incomplete: [
      ['parked', says],
      ['effect', says],
    ],
  })
})

test('letters of errors as long as documents still fit into an answer, and tell where they were thrown', async () => {
  const found = generations()
  const fails = () => {
    throw new Error(`cannot apply this: ${'x'.repeat(200_000)}`)
  }
  const worker = await found.work(balances({ fails }))
  for (let n = 0; n < 30; n += 1) await found.move(`account-${n}`, 1)
  await worker.settle()
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const offered = unitOperations({ unit, view: live.view } as unknown as LiveUnit)
  const call = async (operation: string, payload: unknown) =>
    offered.find(({ id }) => id === `ops::parked::${operation}::balances`)?.handle(payload, undefined)
  const letters = (await call('letters', { limit: 500 })) as { event: { failures: object[] } }[]
  expect(letters).toHaveLength(30)
  expect(JSON.stringify(letters).length).toBeLessThan(30 * 5_000)
  expect(letters[0]?.event.failures).toEqual([
    { at: expect.any(String), message: expect.stringMatching(/^cannot apply this: x+…$/) },
  ])
  expect(await call('show', { position: 1 })).toMatchObject({
    event: { failures: [{ stack: expect.stringMatching(/^Error: cannot apply this: x+…\n +at .*fails/) }] },
  })
})

test('a redrive says which event was tried and failed again: the letter, or one that waited behind it', async () => {
  const found = generations()
  const poisoned = new Set([1, 3])
  const worker = await found.work(balances({ fails: (_account, amount) => poisoned.has(amount) }))
  for (const amount of [1, 2, 3, 4]) await found.move('ada', amount)
  await worker.settle()
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const runner = { inTurn: (act: (followed: typeof live) => unknown) => act(live) }
  const offered = unitOperations({ unit, view: live.view, runner } as unknown as LiveUnit)
  const call = async (functionId: string, payload: unknown) =>
    offered.find(({ id }) => id === functionId)?.handle(payload, undefined)
  const app = { projections: new Map([['balances', unit.projection]]) } as unknown as App
  const system = { app, call, ask: call, now: () => new Date(), monotonic: () => 0 } as unknown as System
  const again = (position: number) => ({
    failed: 1,
    failures: [{ id: `parked:balances:${position}`, error: `cannot apply ${position}` }],
  })
  expect(await redriveLetters(system, { id: 'parked:balances:1' })).toEqual({ redriven: 0, ...again(1) })
  expect(await redriveLetters(system, { source: 'parked' })).toMatchObject({ redriven: 0, ...again(1) })
  poisoned.delete(1)
  expect(await redriveLetters(system, { source: 'parked', status: 'retrying' })).toMatchObject({
    redriven: 2,
    ...again(3),
  })
  poisoned.clear()
  expect(await redriveLetters(system, { id: 'parked:balances:3' })).toEqual({ redriven: 2 })
})

test('who settles an event that waits behind another one is told which one comes first', async () => {
  const found = generations()
  const worker = await found.work(balances({ fails: () => true }))
  for (const amount of [1, 2, 3]) await found.move('ada', amount)
  await worker.settle()
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const runner = { inTurn: (act: (followed: typeof live) => unknown) => act(live) }
  const offered = unitOperations({ unit, view: live.view, runner } as unknown as LiveUnit)
  const call = async (operation: string, position: number) =>
    offered
      .find(({ id }) => id === `ops::parked::${operation}::balances`)
      ?.handle({ position, reason: 'a test' }, undefined)
  for (const operation of ['redrive', 'discard']) {
    await expect(call(operation, 3)).rejects.toThrow(
      'Position 3 of balances waits behind position 1, which failed: redrive or discard that one (parked:balances:1) first.',
    )
    await expect(call(operation, 9)).rejects.toThrow('Position 9 is not at the head')
  }
})

test('a list of dead effects has none of what they carry, and each shows it', async () => {
  const effect = { kind: 'call' as const, functionId: 'mail::send', data: { text: 'x'.repeat(1_000) } }
  const dead = { idempotencyKey: 'alerts:1:1', effect, status: 'dead', attempts: 5, error: 'refused' }
  const unit = { name: 'alerts' }
  const view = {
    deadEffects: async (_limit: number, _key?: string, after?: EffectPlace) => (after ? [] : [dead]),
  }
  const offered = unitOperations({ unit, view } as unknown as LiveUnit)
  const call = (payload: unknown) =>
    offered.find(({ id }) => id === 'ops::effects::dead::alerts')?.handle(payload, undefined)
  expect(await call({ limit: 500 })).toEqual([{ ...dead, effect: { ...effect, data: {} } }])
  expect(await call({ idempotencyKey: 'alerts:1:1' })).toEqual([dead])
})

test('a redrive of many effects is answered when some are pending, not when their takers have had them all', async () => {
  const { view } = ledger()
  const effect = { kind: 'call' as const, functionId: 'mail::send', data: {} }
  const keys = Array.from({ length: 2_500 }, (_, index) => `balances:${index + 1}:1`)
  await put(view, { effects: keys.map((idempotencyKey) => ({ idempotencyKey, effect })) })
  const failure = { attempts: 5, error: 'refused', at: '2026-01-01T00:00:00.000Z' }
  for (const key of keys) await view.effectFailed(key, failure)
  const effects = {
    flush: () => new Promise<void>(() => {}),
    idle: async () => {},
  } as unknown as EffectSender
  const runner = new ProjectionRunner({ view, effects } as unknown as RunnerOptions)
  const offered = unitOperations({ unit: { name: 'balances' }, view, runner } as unknown as LiveUnit)
  const redrive = offered.find(({ id }) => id === 'ops::effects::redrive::balances')
  const first = { redriven: 1_000, next: { position: 1_000, n: 1 } }
  expect(await redrive?.handle({}, undefined)).toEqual(first)
  expect(await view.pendingEffects(3_000)).toHaveLength(1_000)
  const second = { redriven: 1_000, next: { position: 2_000, n: 1 } }
  expect(await redrive?.handle({ after: first.next }, undefined)).toEqual(second)
  expect(await redrive?.handle({ after: second.next }, undefined)).toEqual({ redriven: 500 })
  const pending = await view.pendingEffects(3_000)
  expect(pending.map(({ idempotencyKey }) => idempotencyKey)).toEqual(keys)
})

test('of large dead effects a list reads a few at a time, and leaves none out', async () => {
  const { view } = ledger()
  const data = { text: 'x'.repeat(1_000_000) }
  const effect = { kind: 'call' as const, functionId: 'mail::send', data }
  const keys = Array.from(
    { length: 40 },
    (_, index) => `balances:${Math.floor(index / 2) + 1}:${(index % 2) + 1}`,
  )
  await put(view, { effects: keys.map((idempotencyKey) => ({ idempotencyKey, effect })) })
  const failure = { attempts: 5, error: 'refused', at: '2026-01-01T00:00:00.000Z' }
  for (const key of keys) await view.effectFailed(key, failure)
  let most = 0
  const measured = new (class extends ViewDecorator {
    override async deadEffects(...which: Parameters<ViewStore['deadEffects']>) {
      const page = await super.deadEffects(...which)
      most = Math.max(most, JSON.stringify(page).length)
      return page
    }
  })(view)
  const offered = unitOperations({ unit: { name: 'balances' }, view: measured } as unknown as LiveUnit)
  const list = offered.find(({ id }) => id === 'ops::effects::dead::balances')
  const listed = async (payload: object) => {
    const found = (await list?.handle(payload, undefined)) as RecordedEffect[]
    return found.map(({ idempotencyKey }) => idempotencyKey)
  }
  expect(await listed({ limit: 500 })).toEqual(keys)
  expect(await listed({ limit: 35, after: { position: 1, n: 1 } })).toEqual(keys.slice(1, 36))
  expect(most).toBeLessThan(PAGE_BYTES + 1_100_000)
})

test('of a long sequence a letter shows the first that wait behind it, and says how many there are', async () => {
  const found = generations()
  const worker = await found.work(balances({ fails: () => true }))
  for (let n = 0; n < 131; n += 1) await found.move('ada', 1)
  await worker.settle()
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const offered = unitOperations({ unit, view: live.view } as unknown as LiveUnit)
  const ask = async (functionId: string, payload: unknown) =>
    offered.find(({ id }) => id === functionId)?.handle(payload, undefined)
  const log = { readFrom: async () => ({ events: [] }) }
  const shown = await showLetter({ ask, log } as unknown as System, { id: 'parked:balances:1' })
  expect(shown).toMatchObject({ waiting: 130, behind: { length: 100 } })
})

test('letters of streams with names as long as documents still fit into an answer', async () => {
  const found = generations()
  const worker = await found.work(balances({ fails: () => true }))
  const name = (n: number) => `account-${n}-${'é'.repeat(100_000)}`
  for (let n = 0; n < 20; n += 1) await found.move(name(n % 10), 1)
  await worker.settle()
  const [{ unit, generations: live }] = worker.units as [Worker['units'][0]]
  const offered = unitOperations({ unit, view: live.view } as unknown as LiveUnit)
  const call = async (operation: string, payload: unknown) =>
    offered.find(({ id }) => id === `ops::parked::${operation}::balances`)?.handle(payload, undefined)
  const letters = (await call('letters', { limit: 500 })) as { event: { sequence: string } }[]
  expect(letters.map(({ event }) => event.sequence)).toEqual(
    Array.from({ length: 10 }, (_, n) => `${name(n).slice(0, 1_000)}…`),
  )
  expect(await call('show', { position: 1 })).toMatchObject({
    event: { sequence: name(0) },
    behind: [{ position: 11, sequence: `${name(0).slice(0, 1_000)}…` }],
  })
})
