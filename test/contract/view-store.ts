import { expect, test } from 'vitest'
import type { ParkedEvent, ViewStore } from '../../src/projection/contract.ts'
import { EMPTY_DIGEST } from '../../src/projection/digest.ts'
import { balances } from '../support/ledger-app.ts'
import { at, change, effect, keysOf, type NewView, parkedEvent, put, viewOf, waiting } from './view.ts'

/** What every store of a view promises of documents, checkpoint, trials and parked events. */
export function viewStoreContract(newView: NewView): void {
  const open = () => viewOf(newView).write()
  const positions = (events: readonly ParkedEvent[]) => events.map(({ position }) => position)
  /** Everything that a change changes. */
  const everything = async (store: ViewStore) => ({
    checkpoint: await store.checkpoint(),
    documents: await store.load(['ada', 'bob', 'cy']),
    parked: await store.sequence('ada', 100),
    effects: keysOf(await store.pendingEffects(100)),
    undecided: { parked: await store.parkedAfter(0, 100), withheld: await store.withheldAfter(0, 100) },
    discarded: (await store.discardedAfter(0, 100)).map(({ place, ...one }) => one),
    trial: await store.trial(),
  })

  test('a view that nobody has written holds nothing, at position 0', async () => {
    const store = await open()
    expect(await everything(store)).toEqual({
      checkpoint: { position: 0, processed: 0, digest: EMPTY_DIGEST, revision: 0 },
      documents: new Map(),
      parked: [],
      effects: [],
      undecided: { parked: [], withheld: [] },
      discarded: [],
      trial: undefined,
    })
    expect(await store.parkedSequences(['ada'])).toEqual(new Set())
    expect(await store.hasParked()).toBe(false)
    expect(await store.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
    expect(await store.nextDueAt()).toBeUndefined()
  })

  test('documents come back as they were written, frozen; null removes one', async () => {
    const store = await open()
    const document = {
      text: 'Ω – 雪 \u0000 "quoted"',
      nested: [{ deep: null }],
      big: Number.MAX_SAFE_INTEGER,
    }
    const key = 'é\u{1F600} "k"'
    await put(store, {
      documents: [
        [key, document],
        ['bob', { n: 1 }],
        ['cy', { n: 1 }],
      ],
    })
    await put(store, {
      documents: new Map([
        ['bob', { n: 2 }],
        ['cy', null],
        ['never', null],
      ]),
    })
    const loaded = await store.load([key, 'bob', 'cy', 'never', 'nobody'])
    expect(loaded).toEqual(
      new Map<string, unknown>([
        [key, document],
        ['bob', { n: 2 }],
      ]),
    )
    const found = loaded.get(key) as typeof document
    expect([found, found.nested, found.nested[0]].every((part) => Object.isFrozen(part))).toBe(true)
  })

  test('keys that differ in an escaped character alone come back as they are, whichever was read before', async () => {
    const store = await open()
    const tallies = ['C:\\', 'C:"', 'C:\n'].map((key, index) => [`t-${index}`, { at: 0, [key]: 1 }] as const)
    await put(store, { documents: tallies })
    for (const [key, document] of tallies) {
      const loaded = await store.load([key])
      expect(JSON.stringify(loaded.get(key))).toBe(JSON.stringify(document))
    }
  })

  test('what was committed is there after the view was closed and opened again, field by field', async () => {
    const { write } = viewOf(newView)
    const first = await write()
    const failed = parkedEvent(2, {
      type: 'noted',
      attempts: 3,
      dueAt: 1_700_000_000_123,
      failures: [
        { at: '2026-01-01T00:00:00.000Z', message: 'first', stack: 'at line 1\nat line 2' },
        { at: '2026-01-01T00:00:01.000Z', message: 'second – 雪' },
      ],
    })
    const gone = {
      event: parkedEvent(1, { status: 'dead' }),
      by: 'eve',
      reason: 'a test',
      at: '2026-01-02T00:00:00.000Z',
    }
    await first.commit(
      change(0, {
        advanceTo: { position: 9, processed: 7, digest: 'ab'.repeat(32) },
        documents: [['ada', { n: 1 }]],
        parked: [failed, waiting(5)],
        effects: [effect(3)],
        withheld: [effect(4)],
        discarded: [gone],
      }),
    )
    await first.beginTrial({ from: 10, to: 12, ends: 1 }, 1)
    const before = await everything(first)
    expect(before).toEqual({
      checkpoint: { position: 9, processed: 7, digest: 'ab'.repeat(32), revision: 1 },
      documents: new Map([['ada', { n: 1 }]]),
      parked: [failed, waiting(5)],
      effects: ['balances:3:1'],
      undecided: { parked: [2, 5], withheld: [4] },
      discarded: [gone],
      trial: { from: 10, to: 12, ends: 1 },
    })
    await first.close()
    expect(await everything(await write())).toEqual(before)
  })

  test('a view of another projection, or of another version of it, is refused', async () => {
    const { write } = viewOf(newView)
    await (await write()).close()
    const foreign = expect.objectContaining({ code: 'CQRS_STORE_FOREIGN' })
    await expect(write({ ...balances(), version: 2 })).rejects.toEqual(foreign)
    await expect(write({ ...balances(), name: 'other' })).rejects.toEqual(foreign)
    expect((await (await write()).checkpoint()).revision).toBe(0)
  })

  test('a change computed from an older revision is superseded, and stores nothing', async () => {
    const store = await open()
    await put(store, { advanceTo: at(1), documents: [['ada', { n: 1 }]], parked: [parkedEvent(1)] })
    const before = await everything(store)
    const late = {
      advanceTo: at(9),
      documents: [
        ['ada', null],
        ['bob', { n: 9 }],
      ] as const,
      parked: [waiting(3)],
      settled: [1],
      effects: [effect(2)],
      withheld: [effect(3)],
      marks: [at(5)],
      discarded: [{ event: parkedEvent(1), by: 'eve', reason: 'late', at: '2026-01-02T00:00:00.000Z' }],
    }
    for (const revision of [0, 2])
      expect(await store.commit(change(revision, late))).toEqual({ kind: 'superseded' })
    expect(await everything(store)).toEqual(before)
  })

  test('of writers who commit at the same revision one does; the others store nothing', async () => {
    const { write } = viewOf(newView)
    const stores = [await write(), await write(), await write()]
    const outcomes = await Promise.all(
      stores.map((store, index) =>
        store.commit(change(0, { advanceTo: at(index + 1), documents: [['ada', { by: index + 1 }]] })),
      ),
    )
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['committed', 'superseded', 'superseded'])
    const winner = outcomes.findIndex(({ kind }) => kind === 'committed') + 1
    for (const store of stores) {
      expect(await store.checkpoint()).toEqual({ ...at(winner), revision: 1 })
      expect(await store.load(['ada'])).toEqual(new Map([['ada', { by: winner }]]))
    }
  })

  test('a change that fails on its way stores nothing of itself, and the next one is stored', async () => {
    const store = await open()
    const before = await everything(store)
    function* documents(): Generator<[string, unknown]> {
      yield ['ada', { n: 1 }]
      throw new Error('The second document cannot be made.')
    }
    const failing = change(0, {
      advanceTo: at(1),
      documents: { [Symbol.iterator]: documents },
      parked: [parkedEvent(1)],
      effects: [effect(1)],
    })
    await expect(store.commit(failing)).rejects.toThrow('cannot be made')
    expect(await everything(store)).toEqual(before)
    await put(store, { advanceTo: at(1), documents: [['bob', { n: 2 }]] })
    expect(await store.load(['ada', 'bob'])).toEqual(new Map([['bob', { n: 2 }]]))
  })

  test('a change that applies a parked event leaves the checkpoint where it is, at another revision', async () => {
    const store = await open()
    await put(store, { advanceTo: at(3), parked: [parkedEvent(2)] })
    await put(store, { documents: [['ada', { n: 1 }]], settled: [2] })
    expect(await store.checkpoint()).toEqual({ ...at(3), revision: 2 })
    expect(await store.parkedEvent(2)).toBeUndefined()
  })

  test('a trial is begun at the revision that is there, and ended by the commit or by whoever began it', async () => {
    const { write } = viewOf(newView)
    const [store, other] = [await write(), await write()]
    const trial = { from: 1, to: 3, ends: 0 }
    await store.beginTrial(trial, 1)
    expect(await store.trial()).toBeUndefined()
    await store.beginTrial(trial, 0)
    expect(await other.trial()).toEqual(trial)
    await store.beginTrial({ ...trial, to: 1, ends: 2 }, 0)
    expect(await other.trial()).toEqual({ from: 1, to: 1, ends: 2 })
    await store.commit(change(0, { advanceTo: at(3) }))
    expect(await other.trial()).toBeUndefined()

    await other.beginTrial({ from: 4, to: 4, ends: 1 }, 1)
    // Who is overtaken leaves the trial of whoever was faster alone.
    expect(await store.commit(change(0))).toEqual({ kind: 'superseded' })
    await store.beginTrial(trial, 0)
    await store.endTrial(0)
    expect(await store.trial()).toEqual({ from: 4, to: 4, ends: 1 })
    await other.endTrial(1)
    expect(await store.trial()).toBeUndefined()
  })

  test('parked events are kept by sequence, in order, until they are settled', async () => {
    const store = await open()
    const [ada, bob] = [parkedEvent(2), parkedEvent(4, { sequence: 'bob', status: 'dead', dueAt: 0 })]
    await put(store, { parked: [waiting(7), ada, bob, waiting(5)] })
    expect(await store.parkedSequences(['ada', 'bob', 'bob', 'cy'])).toEqual(new Set(['ada', 'bob']))
    expect(await store.parkedSequences(['bob'])).toEqual(new Set(['bob']))
    expect(await store.hasParked()).toBe(true)
    expect(await store.sequence('ada', 10)).toEqual([ada, waiting(5), waiting(7)])
    expect(positions(await store.sequence('ada', 2))).toEqual([2, 5])
    expect(await store.sequence('cy', 10)).toEqual([])
    expect(await store.parkedEvent(4)).toEqual(bob)
    expect(await store.parkedEvent(3)).toBeUndefined()
    expect(await store.parkedCounts()).toEqual({ retrying: 1, dead: 1, waiting: 2 })

    // It failed once more.
    const dead = {
      ...ada,
      status: 'dead',
      attempts: 2,
      dueAt: 0,
      failures: [...ada.failures, ...ada.failures],
    } as const
    await put(store, { parked: [dead], settled: [4] })
    expect(await store.parkedEvent(2)).toEqual(dead)
    expect(await store.parkedSequences(['ada', 'bob'])).toEqual(new Set(['ada']))
    expect(await store.parkedCounts()).toEqual({ retrying: 0, dead: 1, waiting: 2 })
  })

  test('the heads that are due come earliest first; nothing waits longer than it is told', async () => {
    const store = await open()
    const heads = [
      ['ada', 300],
      ['bob', 100],
      ['cy', 200],
      ['dan', 400],
    ] as const
    await put(store, {
      parked: [
        ...heads.map(([sequence, dueAt], index) => parkedEvent(index + 1, { sequence, dueAt })),
        waiting(5, 'bob'),
        parkedEvent(6, { sequence: 'eve', status: 'dead', dueAt: 0 }),
      ],
    })
    expect(await store.nextDueAt()).toBe(100)
    expect(await store.dueEvents(99, 10)).toEqual([])
    expect(positions(await store.dueEvents(300, 10))).toEqual([2, 3, 1])
    expect(positions(await store.dueEvents(300, 2))).toEqual([2, 3])
    await store.notDueAfter(150)
    expect(positions(await store.dueEvents(149, 10))).toEqual([2])
    expect(positions(await store.dueEvents(150, 10)).sort()).toEqual([1, 2, 3, 4])
    expect((await store.parkedEvent(2))?.dueAt).toBe(100)
    expect((await store.parkedEvent(5))?.status).toBe('waiting')
    expect((await store.parkedEvent(6))?.dueAt).toBe(0)
    await put(store, { settled: [1, 2, 3, 4] })
    expect(await store.nextDueAt()).toBeUndefined()
  })

  test('letters show what failed and how much waits behind it, page by page', async () => {
    const store = await open()
    const [ada, cy] = [parkedEvent(1), parkedEvent(3, { sequence: 'cy', status: 'dead', dueAt: 0 })]
    await put(store, { parked: [ada, cy, waiting(4), waiting(5)] })
    expect(await store.letters({ after: 0, limit: 1 })).toEqual([{ event: ada, waiting: 2 }])
    expect(await store.letters({ after: 1, limit: 5 })).toEqual([{ event: cy, waiting: 0 }])
    expect(await store.letters({ after: 3, limit: 5 })).toEqual([])
  })

  test('what an operator gave up is listed with who and why', async () => {
    const store = await open()
    await put(store, { parked: [parkedEvent(1), waiting(2)] })
    const discarded = {
      event: parkedEvent(1),
      by: 'eve',
      reason: 'a typing error',
      at: '2026-01-02T00:00:00.000Z',
    }
    await put(store, { settled: [1], parked: [parkedEvent(2)], discarded: [discarded] })
    expect(await store.discardedAmong([1, 2, 9])).toEqual([discarded])
    expect(await store.discardedAmong([2])).toEqual([])
    expect(positions(await store.sequence('ada', 9))).toEqual([2])
  })

  test('what operators gave up is read page by page, in the order in which they did', async () => {
    const store = await open()
    const given = [9, 3, 5].map((position) => ({
      event: parkedEvent(position, { sequence: `s-${position}` }),
      by: 'eve',
      reason: 'a typing error',
      at: '2026-01-02T00:00:00.000Z',
    }))
    for (const one of given) await put(store, { discarded: [one] })
    const first = await store.discardedAfter(0, 2)
    expect(first.map(({ event }) => event.position)).toEqual([9, 3])
    const rest = await store.discardedAfter(first[1]?.place ?? 0, 2)
    expect(rest).toEqual([{ ...given[2], place: expect.any(Number) }])
    expect(await store.discardedAfter(rest[0]?.place ?? 0, 2)).toEqual([])
    expect(await store.discardedAfter(0, 3, 1), 'no more than one beyond the bytes').toHaveLength(1)
  })
}
