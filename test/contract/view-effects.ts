import { expect, test } from 'vitest'
import type { EventLog } from '../../src/log/contract.ts'
import type { Discarded, RecordedEffect, ViewStore } from '../../src/projection/contract.ts'
import type { Estate } from '../../src/projection/duty.ts'
import { type TakeOverRequest, takeOver } from '../../src/projection/take-over.ts'
import { MemoryLog } from '../support/memory-log.ts'
import { at, change, effect, keysOf, type NewView, parkedEvent, put, viewOf, waiting } from './view.ts'

const FAILURE = { attempts: 5, error: 'refused', at: '2024-01-01T00:00:00.000Z' }

/** What every store of a view promises of effects, and of what a generation leaves and takes over; see duty.ts. */
export function viewEffectsContract(newView: NewView): void {
  const open = () => viewOf(newView).write()
  const pending = async (store: ViewStore) => keysOf(await store.pendingEffects(100))
  const dead = async (store: ViewStore) => keysOf(await store.deadEffects(100))

  test('effects are pending in the order of their events until they were sent', async () => {
    const store = await open()
    const traced = {
      ...effect(2).effect,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }
    await put(store, { effects: [effect(1), { ...effect(2), effect: traced }] })
    await put(store, { effects: Array.from({ length: 11 }, (_, index) => effect(9, index + 1)) })
    await put(store, { effects: [effect(10)] })
    expect(await store.pendingEffects(2)).toEqual([
      { ...effect(1), status: 'pending', attempts: 0, error: undefined, failedAt: undefined },
      { ...effect(2), effect: traced, status: 'pending', attempts: 0, error: undefined, failedAt: undefined },
    ])
    expect(keysOf(await store.pendingEffects(100, 1)), 'one beyond the bytes').toEqual(['balances:1:1'])
    expect(await store.pendingEffects(100, 1e9)).toHaveLength(14)
    await store.effectsSent(['balances:1:1', 'balances:9:1', 'balances:8:1'])
    const rest = Array.from({ length: 10 }, (_, index) => `balances:9:${index + 2}`)
    expect(await pending(store)).toEqual(['balances:2:1', ...rest, 'balances:10:1'])
  })

  test('an effect that is recorded already stays as it is', async () => {
    const store = await open()
    await put(store, { effects: [effect(1), effect(2)] })
    await store.effectFailed('balances:1:1', FAILURE)
    await put(store, { effects: [effect(1), effect(2)] })
    expect(await pending(store)).toEqual(['balances:2:1'])
    expect(await store.deadEffects(10)).toMatchObject([{ idempotencyKey: 'balances:1:1', attempts: 5 }])
  })

  test('how often the takers of an effect ended is known until it is tried anew, in whichever generation it comes to be', async () => {
    const [store, next] = [await open(), await open()]
    await put(store, { effects: [effect(1), effect(2)] })
    await store.effectStopped('balances:1:1', 2)
    await store.effectStopped('balances:8:1', 2)
    const stops = async (one: ViewStore) => (await one.pendingEffects(10)).map(({ attempts }) => attempts)
    expect(await stops(store)).toEqual([2, 0])
    await takeOver(next, requestOf([store], { swap: 1 }))
    expect(await stops(next)).toEqual([2, 0])
    await next.effectFailed('balances:1:1', FAILURE)
    await next.redriveEffects()
    expect(await stops(next)).toEqual([0, 0])
  })

  test('an effect that is damaged stays so, in whichever generation it comes to be', async () => {
    const [store, next] = [await open(), await open()]
    const damaged = { ...effect(2), damaged: true } as const
    await put(store, { effects: [effect(1), damaged], withheld: [{ ...effect(3), damaged: true }] })
    const is = async (one: ViewStore) => (await one.pendingEffects(10)).map((each) => each.damaged ?? false)
    expect(await is(store)).toEqual([false, true])
    await takeOver(next, requestOf([store], { swap: 1 }))
    expect(await is(next)).toEqual([false, true])
    await takeOver(store, requestOf([left({ position: 2 })], { swap: 1 }))
    expect(await is(store)).toEqual([true])
  })

  test('a dead effect is listed, made pending again, or given up with who and why', async () => {
    const store = await open()
    await put(store, { effects: [effect(1), effect(2)] })
    for (const key of ['balances:1:1', 'balances:2:1']) await store.effectFailed(key, FAILURE)
    expect(await store.deadEffects(10)).toEqual([
      { ...effect(1), status: 'dead', attempts: 5, error: 'refused', failedAt: FAILURE.at },
      { ...effect(2), status: 'dead', attempts: 5, error: 'refused', failedAt: FAILURE.at },
    ])
    expect(await store.pendingEffects(10)).toEqual([])
    expect(await store.redriveEffects('balances:1:1')).toEqual({ redriven: 1, last: undefined })
    expect(await store.redriveEffects('balances:1:1')).toEqual({ redriven: 0, last: undefined })
    expect(await store.pendingEffects(10)).toMatchObject([{ idempotencyKey: 'balances:1:1', attempts: 0 }])
    const discard = { by: 'ops', reason: 'the taker is gone', at: '2024-01-02T00:00:00.000Z' }
    expect(await store.discardEffect('balances:1:1', discard)).toBe(false)
    expect(await store.discardEffect('balances:2:1', discard)).toBe(true)
    expect(await store.discardEffect('balances:2:1', discard)).toBe(false)
    expect(await store.deadEffects(10)).toEqual([])
    expect(await store.discardedAfter(0, 9), 'of events only').toEqual([])
    expect(await store.discardedAmong([1]), 'of events only').toEqual([])
  })

  test('dead effects are paged in the order of their places, and redriven all at once', async () => {
    const store = await open()
    const places = [
      [2, 1],
      [9, 1],
      [9, 2],
      [9, 10],
      [10, 1],
      [100, 1],
    ] as const
    await put(store, { effects: places.map(([position, n]) => effect(position, n)) })
    for (const [position, n] of places) await store.effectFailed(effect(position, n).idempotencyKey, FAILURE)
    const keys = places.map(([position, n]) => `balances:${position}:${n}`)
    expect(await dead(store)).toEqual(keys)
    for (const [index, [position, n]] of places.entries()) {
      const next = await store.deadEffects(2, undefined, { position, n })
      expect(keysOf(next)).toEqual(keys.slice(index + 1, index + 3))
    }
    expect(keysOf(await store.deadEffects(10, undefined, { position: 9, n: 0 }))).toEqual(keys.slice(1))
    expect(keysOf(await store.deadEffects(10, 'balances:9:10'))).toEqual(['balances:9:10'])
    expect(await store.redriveEffects(undefined, { position: 9, n: 2 })).toMatchObject({ redriven: 3 })
    expect(await pending(store)).toEqual(keys.slice(3))
    expect(await store.redriveEffects()).toMatchObject({ redriven: 3 })
    expect(await pending(store)).toEqual(keys)
  })

  test('of many dead effects a thousand are redriven at a time', async () => {
    const store = await open()
    const effects = Array.from({ length: 1_500 }, (_, index) => effect(index + 1))
    await put(store, { effects })
    for (const { idempotencyKey } of effects) await store.effectFailed(idempotencyKey, FAILURE)
    const first = await store.redriveEffects()
    expect(first).toEqual({ redriven: 1_000, last: { position: 1_000, n: 1 } })
    expect(await store.redriveEffects(undefined, first.last)).toEqual({ redriven: 500, last: undefined })
    expect(await dead(store)).toEqual([])
  })

  test('dead effects of an event that was parked and applied later stand at its place, and no page leaves them out', async () => {
    const store = await open()
    const applied = [900, 10, 950, 5, 7]
    for (const position of applied) await put(store, { effects: [effect(position)] })
    for (const position of applied) await store.effectFailed(effect(position).idempotencyKey, FAILURE)
    const found: string[] = []
    let after = { position: 0, n: 0 }
    for (;;) {
      const page = keysOf(await store.deadEffects(2, undefined, after))
      found.push(...page)
      if (page.length < 2) break
      after = { position: Number(page.at(-1)?.split(':')[1]), n: 1 }
    }
    expect(found).toEqual([5, 7, 10, 900, 950].map((position) => `balances:${position}:1`))
  })

  test('effects that another generation owes are kept back, and dropped when it has settled them', async () => {
    const store = await open()
    await put(store, { parked: [parkedEvent(1)], withheld: [effect(3), effect(3, 2), effect(4), effect(5)] })
    expect(await pending(store)).toEqual([])
    expect(await store.parkedAfter(0, 10)).toEqual([1])
    expect(await store.withheldAfter(0, 10)).toEqual([3, 4, 5])
    expect([await store.withheldAfter(3, 10), await store.withheldAfter(0, 2)]).toEqual([
      [4, 5],
      [3, 4],
    ])
    expect(await store.withheldAfter(0, 10, 1), 'one beyond the bytes').toEqual([3])
    await store.dropWithheld([3, 5, 6])
    expect(await store.withheldAfter(0, 10)).toEqual([4])
  })

  test('a generation owes the effects of what it has not settled, and leaves what it has recorded', async () => {
    const store = await open()
    const given = { event: parkedEvent(1), by: 'eve', reason: 'a test', at: '2026-01-02T00:00:00.000Z' }
    await put(store, {
      advanceTo: at(9),
      parked: [parkedEvent(2), waiting(5)],
      effects: [effect(3), effect(4), effect(6)],
      discarded: [given],
    })
    await store.effectFailed('balances:3:1', FAILURE)
    await store.effectsSent(['balances:6:1'])
    expect(await store.duty([1, 2, 3, 5])).toEqual({ position: 9, parked: new Set([2, 5]) })
    expect(await store.duty([5, 12])).toEqual({ position: 9, parked: new Set([5]) })
    const recorded = await store.effectsBefore(undefined, 10, 1e9)
    expect(recorded).toMatchObject([
      { ...effect(4), status: 'pending', attempts: 0 },
      { ...effect(3), status: 'dead', attempts: 5, error: 'refused', failedAt: FAILURE.at },
    ])
    expect(await store.effectsBefore(recorded[0]?.place, 10, 1e9)).toEqual(recorded.slice(1))
    expect(await store.effectsBefore(undefined, 10, 1), 'one beyond the bytes').toEqual(recorded.slice(0, 1))
    expect(await store.discardedAfter(0, 9)).toEqual([{ ...given, place: expect.any(Number) }])
    expect(await store.tookOver()).toBe(0)
  })

  /** A generation that has taken over from one that had settled 5, owed 7 and 12, and left the effects of 3 and 4. */
  async function takenOver() {
    const { write } = viewOf(newView)
    const store = await write()
    // Of a time when this generation served; the one that served since has sent it.
    await put(store, { advanceTo: at(2), effects: [effect(2)] })
    await put(store, {
      advanceTo: at(12),
      parked: [parkedEvent(5), parkedEvent(7, { sequence: 'bob' }), waiting(8, 'bob'), waiting(9)],
      withheld: [effect(6), effect(12, 2), effect(12, 10), effect(10)],
    })
    const outgoing = [
      { ...effect(3), status: 'pending', attempts: 2, error: 'late', failedAt: FAILURE.at },
      { ...effect(4), status: 'dead', attempts: 5, error: 'refused', failedAt: FAILURE.at },
    ] as const
    const discard = { by: 'eve', reason: 'a test', at: '2026-01-02T00:00:00.000Z' }
    const discarded = [
      // Applied here, parked here, and not met yet.
      { event: parkedEvent(1, { sequence: 'cy' }), ...discard },
      { event: parkedEvent(7, { sequence: 'bob' }), ...discard },
      { event: parkedEvent(20, { sequence: 'dan' }), ...discard },
    ]
    const owing = left({ position: 11, parked: [7, 8, 9], effects: outgoing, discarded })
    const request = requestOf([owing], { swap: 3, now: 77_000 })
    const before = await store.checkpoint()
    await takeOver(store, request)
    return { write, store, request, outgoing, before }
  }

  test('what is recorded there is taken over as it stands, and what it still owed is due here; the rest is void', async () => {
    const { store, outgoing } = await takenOver()
    expect(await store.pendingEffects(10)).toEqual([
      outgoing[0],
      ...[effect(12, 2), effect(12, 10)].map((one) => ({
        ...one,
        status: 'pending',
        attempts: 0,
        error: undefined,
        failedAt: undefined,
      })),
    ])
    expect(await store.deadEffects(10)).toEqual([outgoing[1]])
    expect(await store.withheldAfter(0, 10)).toEqual([])
  })

  test('what is parked here but was settled there has its effects behind it; what was owed there has not', async () => {
    const { store } = await takenOver()
    expect(await store.duty([5, 7, 8, 9])).toEqual({ position: 12, parked: new Set([8, 9]) })
    expect(await store.parkedAfter(0, 10)).toEqual([5, 8, 9])
    const before = await pending(store)
    // It fails once more, which changes nothing of that.
    await put(store, { parked: [parkedEvent(5, { attempts: 2 })] })
    await put(store, { settled: [5], effects: [effect(5)] })
    await put(store, { settled: [9], effects: [effect(9)] })
    expect(await pending(store)).toEqual([...before, 'balances:9:1'])
  })

  test('what an operator gave up there is given up here, unless it is applied; what waited behind it is next', async () => {
    const { store } = await takenOver()
    expect(
      (await store.discardedAfter(0, 9)).map(({ event, by, reason }) => [event.position, by, reason]),
    ).toEqual([
      [7, 'eve', 'a test'],
      [20, 'eve', 'a test'],
    ])
    expect(await store.parkedEvent(7)).toBeUndefined()
    expect(await store.parkedEvent(8)).toMatchObject({ status: 'retrying', dueAt: 77_000 })
    expect(await store.parkedEvent(9)).toMatchObject({ status: 'waiting' })
    expect((await store.parkedEvent(5))?.dueAt).toBe(1_000)
  })

  test('a generation takes over once at each swap, which fences off who has read it before', async () => {
    const { write, store, request, before } = await takenOver()
    expect(await store.tookOver()).toBe(3)
    expect(await store.commit(change(before.revision))).toEqual({ kind: 'superseded' })
    expect(await store.takeOver({ swap: 4 }, before.revision)).toBe(false)
    await store.effectsSent(['balances:3:1'])
    const recorded = (one: ViewStore) => one.effectsBefore(undefined, 10, 1e9)
    const after = await recorded(store)
    for (const swap of [3, 2]) await takeOver(store, { ...request, swap })
    expect(await recorded(store)).toEqual(after)
    await store.close()
    const again = await write()
    expect(await again.tookOver()).toBe(3)
    expect(await recorded(again)).toEqual(after)
    await takeOver(again, { ...request, swap: 4 })
    expect(await again.tookOver()).toBe(4)
  })
}

/** What a generation leaves that has none of its own files. */
function left({ position, parked = [], effects = [], discarded = [] }: Left): Estate {
  const placed = effects.map((each, place) => ({ ...each, place, bytes: 10 })).toReversed()
  return {
    duty: async (among) => ({ position, parked: new Set(among.filter((one) => parked.includes(one))) }),
    effectsBefore: async (before = Number.POSITIVE_INFINITY, limit) =>
      placed.filter(({ place }) => place < before).slice(0, limit),
    assertNoMoreEffectsThan: async () => undefined,
    discardedAfter: async (after, limit) =>
      discarded.map((one, index) => ({ ...one, place: index + 1 })).slice(after, after + limit),
  }
}

interface Left {
  readonly position: number
  readonly parked?: readonly number[]
  readonly effects?: readonly RecordedEffect[]
  readonly discarded?: readonly Discarded[]
}

function requestOf(
  parts: readonly Estate[],
  { swap, now = 0 }: { swap: number; now?: number },
): TakeOverRequest {
  const log = new MemoryLog() as unknown as EventLog
  return { projection: 'balances', parts, aligned: true, partition: { index: 0, count: 1 }, log, swap, now }
}
