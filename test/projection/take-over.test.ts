import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partitionOf } from '../../src/kernel/partition.ts'
import type { EventLog } from '../../src/log/contract.ts'
import type { NamedEffect, ParkedEvent, TakeOverStep, ViewStore } from '../../src/projection/contract.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { takeOver } from '../../src/projection/take-over.ts'
import { ViewDecorator } from '../../src/projection/view-decorator.ts'
import { at, effect, parkedEvent, put } from '../contract/view.ts'
import { balances } from '../support/ledger-app.ts'
import { MemoryLog } from '../support/memory-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

const STREAMS = ['ada', 'bob', 'cyd', 'dan']
const EVENTS = 24
const FAILURE = { attempts: 5, error: 'refused', at: '2024-01-01T00:00:00.000Z' }

const log = new MemoryLog()
for (let event = 0; event < EVENTS; event += 1) log.append(STREAMS[event % 4] as string, 'moved', {})
const streamOf = (position: number) => STREAMS[(position - 1) % 4] as string

/** Of each event, what became of it in a generation. */
const fate = fc.constantFrom('sent', 'recorded', 'dead', 'parked', 'given up')
const generation = fc.record({
  position: fc.nat(EVENTS),
  fates: fc.array(fate, { minLength: 24, maxLength: 24 }),
})
const world = fc.record({
  outgoing: fc.array(generation, { minLength: 1, maxLength: 3 }),
  incoming: generation,
  /** Events that the incoming one has applied, and whose effects it keeps back. */
  withheld: fc.uniqueArray(fc.integer({ min: 1, max: EVENTS })),
})

type World = typeof world extends fc.Arbitrary<infer Value> ? Value : never

/** Ends after so many steps, as a process that is killed. */
class MortalView extends ViewDecorator {
  #left: number

  constructor(view: ViewStore, steps: number) {
    super(view)
    this.#left = steps
  }

  override async takeOver(step: TakeOverStep, expectedRevision: number): Promise<boolean> {
    if (this.#left === 0) throw new Error('killed')
    this.#left -= 1
    const { withheld, parked, discarded, voided, effects } = step
    const rows = [withheld?.positions, parked?.positions, discarded, voided, effects]
    for (const each of rows) expect(each?.length ?? 0).toBeLessThanOrEqual(2)
    return super.takeOver(step, expectedRevision)
  }
}

/** A view as a generation has come to be, of all streams or of one part of them. */
async function fill(path: string, { position, fates }: World['incoming'], part = { index: 0, count: 1 }) {
  const store = openSqliteView(path, balances())
  const own = fates
    .map((kind, index) => ({ kind, position: index + 1 }))
    .filter(
      (one) => one.position <= position && partitionOf(streamOf(one.position), part.count) === part.index,
    )
  const of = (...kinds: string[]) => own.filter(({ kind }) => kinds.includes(kind)).map((one) => one.position)
  const parked = new Map<string, ParkedEvent>()
  for (const event of of('parked')) {
    const sequence = streamOf(event)
    const status = parked.has(sequence) ? 'waiting' : 'retrying'
    parked.set(sequence, parkedEvent(event, { sequence, status }))
    await put(store, { parked: [parkedEvent(event, { sequence, status })] })
  }
  const recorded: NamedEffect[] = of('recorded', 'dead').map((event) => effect(event))
  const gone = of('given up').map((event) => parkedEvent(event, { sequence: streamOf(event) }))
  const discarded = gone.map((event) => ({ event, by: 'eve', reason: 'a test', at: FAILURE.at }))
  await put(store, { advanceTo: at(position), effects: recorded, discarded })
  for (const event of of('dead')) await store.effectFailed(effect(event).idempotencyKey, FAILURE)
  return { store, parked: of('parked') }
}

async function contentOf(store: ViewStore) {
  const parked = await store.parkedAfter(0, 100)
  return {
    effects: (await store.effectsBefore(undefined, 100, 1e9)).map(({ place, ...one }) => one).toReversed(),
    parked: await Promise.all(parked.map((position) => store.parkedEvent(position))),
    owed: (await store.duty(parked)).parked,
    withheld: await store.withheldAfter(0, 100),
    discarded: (await store.discardedAfter(0, 100)).map(({ place, ...one }) => one),
    tookOver: await store.tookOver(),
  }
}

test('a takeover that is killed after any step and begun again has the same result, in steps of bounded size', async () => {
  const scenario = async ({ outgoing, incoming, withheld }: World) => {
    const folder = tempFolder()
    const count = outgoing.length
    const parts = await Promise.all(
      outgoing.map((one, index) => fill(join(folder, `out.${index}.db`), one, { index, count })),
    )
    const request = {
      projection: 'balances',
      parts: parts.map(({ store }) => store),
      aligned: count === 1,
      partition: { index: 0, count: 1 },
      log: log as unknown as EventLog,
      swap: 1,
      now: 77,
      atOnce: 2,
    }
    const beginning = async (name: string) => {
      const path = join(folder, name)
      const { store, parked } = await fill(path, incoming)
      const kept = withheld.filter((one) => !parked.includes(one))
      await put(store, { withheld: kept.map((position) => effect(position)) })
      return { path, store, kept }
    }
    const { store: whole, kept } = await beginning('whole.db')
    await takeOver(whole, request)
    const wanted = await contentOf(whole)

    // What the rules of duty.ts call for.
    const isOwed = (position: number) => {
      const owing = partitionOf(streamOf(position), count)
      return (
        position > (outgoing[owing]?.position ?? 0) || parts.some(({ parked }) => parked.includes(position))
      )
    }
    const due = new Set(kept.filter(isOwed))
    for (const [index, kind] of incoming.fates.entries()) {
      if (kind === 'recorded' && index < incoming.position && isOwed(index + 1)) due.add(index + 1)
    }
    for (const { store } of parts) {
      for (const { idempotencyKey } of await store.effectsBefore(undefined, 100, 1e9)) {
        due.add(Number(idempotencyKey.split(':')[1]))
      }
    }
    const found = wanted.effects.map(({ idempotencyKey }) => Number(idempotencyKey.split(':')[1]))
    expect(found.toSorted((one, other) => one - other)).toEqual([...due].sort((one, other) => one - other))
    expect([wanted.withheld, wanted.tookOver]).toEqual([[], 1])

    const { path, store } = await beginning('killed.db')
    await store.close()
    for (let steps = 0, done = false; !done; steps += 1) {
      const next = openSqliteView(path, balances())
      done = await takeOver(new MortalView(next, steps), request).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe('killed')
          return false
        },
      )
      if (!done) expect(await next.tookOver()).toBe(0)
      else expect(await contentOf(next)).toEqual(wanted)
      await next.close()
    }
    await whole.close()
    for (const { store } of parts) await store.close()
  }
  await fc.assert(fc.asyncProperty(world, scenario), { numRuns: 30 })
}, 120_000)

test('when two processes take over the same view at once, neither leaves a part out', async () => {
  const folder = tempFolder()
  const fates = Array.from({ length: EVENTS }, () => 'recorded' as const)
  const { store: outgoing } = await fill(join(folder, 'out.db'), { position: EVENTS, fates })
  const path = join(folder, 'in.db')
  const request = {
    projection: 'balances',
    parts: [outgoing],
    aligned: true,
    partition: { index: 0, count: 1 },
  }
  const views = [openSqliteView(path, balances()), openSqliteView(path, balances())]
  const over = (view: ViewStore, atOnce: number) =>
    takeOver(view, { ...request, log: log as unknown as EventLog, swap: 1, now: 0, atOnce })
  const ends = await Promise.allSettled(views.map((view, index) => over(view, index + 1)))
  expect(ends.map(({ status }) => status)).toContain('rejected')
  for (const view of views) await over(view, 1)
  expect(await views[0]?.effectsBefore(undefined, 100, 1e9)).toHaveLength(EVENTS)
  for (const view of [outgoing, ...views]) await view.close()
})
