import { expect, onTestFinished, test } from 'vitest'
import type { ControlStore, PartProgress } from '../../src/control/contract.ts'
import type { Comparison } from '../../src/projection/parity.ts'

/** A control store of its own to each test. */
export interface ControlStoreUnderTest {
  /** Opens it; also while it is open, as another process does. */
  open(): Promise<ControlStore>
  /** Lets `swapInTurns` of test/support run on it beside the test. @returns what that does */
  swapMeanwhile(flag: Int32Array): Promise<number>
}

const SIDE = { position: 10, documents: 3, hash: 'ab' }

const NO_CHANGES = { added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }

const REPORT: Comparison = { kind: 'compared', samePosition: true, before: SIDE, after: SIDE, ...NO_CHANGES }

const AT_END: PartProgress = {
  phase: 'following',
  position: 10,
  target: 10,
  eventsPerSecond: 0,
  error: undefined,
}

const ISO_8601 = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

/** What every control store promises. */
export function controlStoreContract(newStore: () => ControlStoreUnderTest): void {
  /** A control store with generation 1 of a projection; `open` gives further ones, as of other processes. */
  async function control(partitions = 1) {
    const driver = newStore()
    const opened: ControlStore[] = []
    const open = async () => {
      const store = await driver.open()
      opened.push(store)
      return store
    }
    onTestFinished(async () => {
      for (const store of opened) await store.close()
    })
    const store = await open()
    await store.adopt({ projection: 'list', generation: 1, version: 1, partitions })
    const generation = async (number: number) =>
      (await store.projection('list'))?.generations.find((one) => one.generation === number)
    const states = async (of = store) =>
      Object.fromEntries(
        (await of.projection('list'))?.generations.map(({ generation, state }) => [generation, state]) ?? [],
      )
    const request = (options: Partial<Parameters<ControlStore['request']>[0]> = {}, of = store) =>
      of.request({ projection: 'list', version: 1, partitions, purpose: 'serve', by: 'test', ...options })
    const active = async () =>
      Number(Object.entries(await states()).find(([, state]) => state === 'active')?.[0])
    /** Brings a generation to where it can be swapped in. */
    const makeReady = async (generation: number) => {
      for (let partition = 0; partition < partitions; partition += 1) {
        await store.progress('list', generation, partition, AT_END)
        await store.lead('list', generation, partition, await active())
      }
      expect(await store.move('list', generation, 'ready')).toBe(true)
    }
    /** Has generation 2 serve in the place of 1, whose first partition it has taken over. */
    const replaceFirst = async () => {
      await request()
      await makeReady(2)
      await store.swap('list', 2)
      await store.tookOver('list', 0, 1)
    }
    return { store, driver, open, generation, states, request, makeReady, replaceFirst }
  }

  test('what lies in the data folder is adopted once, and serves', async () => {
    const { store, open, states } = await control()
    await (await open()).adopt({ projection: 'list', generation: 7, version: 9, partitions: 3 })
    expect(await states()).toEqual({ 1: 'active' })
    expect(await store.projection('nobody')).toBeUndefined()
  })

  test('a second request joins the first; one that restarts gives the first up', async () => {
    const { request, states } = await control()
    expect(await request()).toEqual({ kind: 'created', generation: 2 })
    expect(await request()).toEqual({ kind: 'joined', generation: 2 })
    expect(await request({ purpose: 'verify' })).toEqual({ kind: 'created', generation: 3 })
    expect(await request({ restart: true })).toEqual({ kind: 'created', generation: 4 })
    expect(await states()).toEqual({ 1: 'active', 2: 'cancelling', 3: 'building', 4: 'building' })
  })

  test('a generation is swapped in when all its parts lead, and exactly one is active at any time', async () => {
    const { store, request, states, makeReady } = await control(2)
    await request()
    await store.lead('list', 2, 0, 1)
    expect(await store.move('list', 2, 'ready')).toBe(false)
    expect(await store.swap('list', 2)).toEqual({ kind: 'refused' })
    await makeReady(2)
    expect(await store.swap('list', 2)).toEqual({ kind: 'swapped' })
    expect(await states()).toEqual({ 1: 'previous', 2: 'active' })
    expect(await store.projection('list')).toMatchObject({ swaps: 1, outgoing: 1 })
  })

  test('no swap happens before the effects of the swap before are taken over by every partition', async () => {
    const { store, request, states, makeReady } = await control(2)
    await request()
    await makeReady(2)
    await store.swap('list', 2)
    await request()
    await makeReady(3)
    await store.tookOver('list', 0, 1)
    expect(await store.swap('list', 3)).toEqual({ kind: 'not-yet' })
    await store.tookOver('list', 1, 1)
    expect(await store.swap('list', 3)).toEqual({ kind: 'swapped' })
    expect(await states()).toEqual({ 1: 'retired', 2: 'previous', 3: 'active' })
  })

  test('a rollback returns to the previous generation when it leads, and the other one becomes previous', async () => {
    const { store, states, replaceFirst } = await control()
    await replaceFirst()
    expect(await store.move('list', 1, 'returning')).toBe(true)
    expect(await store.swap('list', 1)).toEqual({ kind: 'not-yet' })
    await store.lead('list', 1, 0, 2)
    expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
    expect(await states()).toEqual({ 1: 'active', 2: 'previous' })
  })

  test('moves happen only from the states that lead there', async () => {
    const { store, request, states } = await control()
    const unfinished = ['cancelling', 'failed', 'verified'] as const
    for (const to of ['previous', 'retired', 'pruning', 'returning', ...unfinished] as const) {
      expect(await store.move('list', 1, to), to).toBe(false)
    }
    await request({ purpose: 'inspect', until: 10 })
    expect(await store.move('list', 2, 'side')).toBe(false)
    await store.progress('list', 2, 0, AT_END)
    expect(await store.move('list', 2, 'side')).toBe(true)
    expect(await store.swap('list', 2)).toEqual({ kind: 'refused' })
    expect(await states()).toEqual({ 1: 'active', 2: 'side' })
  })

  test('a generation is forgotten with its last part', async () => {
    const { store, request, states } = await control(2)
    await request()
    await store.move('list', 2, 'cancelling')
    await store.gone('list', 2, 0)
    expect(await states()).toEqual({ 1: 'active', 2: 'cancelling' })
    await store.gone('list', 2, 1)
    expect(await states()).toEqual({ 1: 'active' })
    expect(await request()).toEqual({ kind: 'created', generation: 3 })
  })

  test('each process sees at once what another one has written', async () => {
    const { store, open, states, request } = await control()
    const other = await open()
    expect(await states(other)).toEqual({ 1: 'active' })
    await request()
    expect(await states(other)).toEqual({ 1: 'active', 2: 'building' })
    await other.pause('list', true)
    expect(await store.projection('list')).toMatchObject({ paused: true })
  })

  test('a part leads beside the generation that it was measured against, and no other', async () => {
    const { store, request, makeReady } = await control()
    await request()
    await makeReady(2)
    await store.swap('list', 2)
    await request()
    await store.lead('list', 3, 0, 2)
    expect(await store.move('list', 3, 'ready'), 'it is not built yet').toBe(false)
    await store.progress('list', 3, 0, AT_END)
    await store.lead('list', 3, 0, 1)
    expect(await store.move('list', 3, 'ready')).toBe(false)
    await store.lead('list', 3, 0, 2)
    expect(await store.move('list', 3, 'ready')).toBe(true)
  })

  test('a generation that falls behind is built on, and is not swapped in before it leads again', async () => {
    const { store, request, states, makeReady } = await control(2)
    await request()
    for (const partition of [0, 1]) await store.progress('list', 2, partition, AT_END)
    await makeReady(2)
    await store.fallBehind('list', 2, [1])
    expect(await store.swap('list', 2)).toEqual({ kind: 'refused' })
    expect((await store.projection('list'))?.generations[1]).toMatchObject({
      state: 'building',
      report: undefined,
      parts: [
        { leading: true, phase: 'following' },
        { leading: false, phase: 'waiting' },
      ],
    })
    await makeReady(2)
    await store.swap('list', 2)
    await store.fallBehind('list', 2, [0])
    expect(await states()).toEqual({ 1: 'previous', 2: 'active' })
  })

  test('what is read of a projection is of one moment, whoever writes meanwhile', async () => {
    const { store, driver, replaceFirst } = await control()
    await replaceFirst()
    const flag = new Int32Array(new SharedArrayBuffer(4))
    const swapped = driver.swapMeanwhile(flag)
    const torn: unknown[] = []
    const seen = new Set<number>()
    while (seen.size < 1_000) {
      const read = await store.projection('list')
      if (!read) continue
      seen.add(read.swaps)
      const before = read.generations.find(({ state }) => state !== 'active')
      const isWhole =
        before?.generation === read.outgoing &&
        [...read.takenOver.values()].every((swap) => swap === read.swaps)
      if (!isWhole) torn.push(read)
    }
    Atomics.store(flag, 0, 1)
    expect(await swapped).toBeGreaterThanOrEqual(999)
    expect(torn).toEqual([])
  })

  test('a rollback that was cancelled has to lead anew when it is wished again', async () => {
    const { store, replaceFirst } = await control()
    await replaceFirst()
    await store.move('list', 1, 'returning')
    await store.lead('list', 1, 0, 2)
    await store.move('list', 1, 'previous')
    // Too late: it has been moved behind the active one since.
    await store.lead('list', 1, 0, 2)
    await store.move('list', 1, 'returning')
    expect(await store.swap('list', 1)).toEqual({ kind: 'not-yet' })
    await store.lead('list', 1, 0, 2)
    expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
  })

  test('what is known of a projection, its generations and their parts is there after reopening, field by field', async () => {
    const { store, open, request } = await control(2)
    await request({ version: 3, requireParity: true, by: 'ada on desk-1' })
    await request({ purpose: 'inspect', until: 7 })
    await store.progress('list', 2, 1, {
      phase: 'folding',
      position: 4,
      target: 9,
      eventsPerSecond: 1_250.5,
      error: 'The disk is full.',
    })
    await store.pause('list', true)
    const part = (partition: number, more: object = {}) => ({
      partition,
      phase: 'waiting',
      position: 0,
      target: 0,
      eventsPerSecond: 0,
      leading: false,
      error: undefined,
      updatedAt: ISO_8601,
      ...more,
    })
    const one = (generation: number, more: object) => ({
      projection: 'list',
      generation,
      version: 1,
      partitions: 2,
      state: 'building',
      until: undefined,
      requireParity: false,
      forced: false,
      by: 'test',
      requestedAt: ISO_8601,
      changedAt: ISO_8601,
      error: undefined,
      report: undefined,
      parts: [part(0), part(1)],
      ...more,
    })
    const folding = { phase: 'folding', position: 4, target: 9, eventsPerSecond: 1_250.5 }
    const known = {
      name: 'list',
      paused: true,
      swaps: 0,
      outgoing: undefined,
      takenOver: new Map(),
      generations: [
        one(1, {
          state: 'active',
          purpose: 'serve',
          by: expect.any(String),
          parts: [part(0, { phase: 'following' }), part(1, { phase: 'following' })],
        }),
        one(2, {
          version: 3,
          purpose: 'serve',
          requireParity: true,
          by: 'ada on desk-1',
          parts: [part(0), part(1, { ...folding, error: 'The disk is full.' })],
        }),
        one(3, { purpose: 'inspect', until: 7 }),
      ],
    }
    expect(await store.projection('list')).toEqual(known)
    await store.close()
    expect(await (await open()).projection('list')).toEqual(known)
  })

  test('of those who decide at the same moment one is heard, and the others are told so', async () => {
    const { store, open, states, request, makeReady } = await control()
    const other = await open()
    const first = { projection: 'new', version: 1, partitions: 1 }
    await Promise.all([store, other].map((one, index) => one.adopt({ ...first, generation: index + 4 })))
    expect((await store.projection('new'))?.generations).toHaveLength(1)
    const requests = await Promise.all([request(), request({}, other), request(), request({}, other)])
    expect(requests.map(({ generation }) => generation)).toEqual([2, 2, 2, 2])
    expect(requests.map(({ kind }) => kind).sort()).toEqual(['created', 'joined', 'joined', 'joined'])
    await makeReady(2)
    const swaps = await Promise.all([store.swap('list', 2), other.swap('list', 2)])
    expect(swaps.map(({ kind }) => kind).sort()).toEqual(['refused', 'swapped'])
    expect(await store.projection('list')).toMatchObject({ swaps: 1, outgoing: 1 })
    await store.tookOver('list', 0, 1)
    const moves = await Promise.all([store, other].map((one) => one.move('list', 1, 'returning')))
    expect(moves.sort()).toEqual([false, true])
    expect(await states()).toEqual({ 1: 'returning', 2: 'active' })
  })

  test('a generation is not pruned before what it leaves is taken over by every part', async () => {
    const { store, request, states, makeReady } = await control(2)
    await request()
    await makeReady(2)
    await store.swap('list', 2)
    await store.tookOver('list', 1, 1)
    expect(await store.move('list', 1, 'pruning')).toBe(false)
    await store.tookOver('list', 0, 1)
    expect(await store.projection('list')).toMatchObject({
      takenOver: new Map([
        [0, 1],
        [1, 1],
      ]),
    })
    expect(await store.move('list', 1, 'pruning')).toBe(true)
    expect(await states()).toEqual({ 1: 'pruning', 2: 'active' })
  })

  test('a generation that returns and falls behind still returns, when it leads again', async () => {
    const { store, states, replaceFirst } = await control()
    await replaceFirst()
    await store.move('list', 1, 'returning')
    await store.lead('list', 1, 0, 2)
    await store.fallBehind('list', 1, [0])
    expect(await states()).toEqual({ 1: 'returning', 2: 'active' })
    expect(await store.swap('list', 1)).toEqual({ kind: 'not-yet' })
    await store.lead('list', 1, 0, 2)
    expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
  })

  test('a generation that is forced to return does so though it is behind', async () => {
    const { store, states, generation, replaceFirst } = await control()
    await replaceFirst()
    expect(await store.move('list', 1, 'returning', { forced: true })).toBe(true)
    expect(await generation(1)).toMatchObject({ forced: true })
    expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
    expect(await states()).toEqual({ 1: 'active', 2: 'previous' })
  })

  test('a comparison is noted while the generation is ready, and a failure with its reason', async () => {
    const { store, request, makeReady, generation } = await control()
    await request()
    await store.report('list', 2, REPORT, 1)
    expect(await generation(2)).toMatchObject({ report: undefined })
    await makeReady(2)
    await store.report('list', 2, REPORT, 2)
    expect(await generation(2), 'it is of another generation').toMatchObject({ report: undefined })
    await store.report('list', 2, REPORT, 1)
    expect(await generation(2)).toMatchObject({ report: REPORT })
    expect(await store.move('list', 2, 'failed', { error: 'It differs.' })).toBe(true)
    expect(await generation(2)).toMatchObject({ state: 'failed', error: 'It differs.', report: REPORT })
    await store.report('list', 2, { ...REPORT, changed: 1 }, 1)
    expect(await generation(2)).toMatchObject({ report: REPORT })
  })

  test('a comparison is void when another generation is swapped in', async () => {
    const { store, request, replaceFirst, makeReady, states, generation } = await control()
    await replaceFirst()
    await request()
    await makeReady(3)
    await store.report('list', 3, REPORT, 2)
    await store.move('list', 1, 'returning')
    await store.lead('list', 1, 0, 2)
    expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
    expect(await states()).toEqual({ 1: 'active', 2: 'previous', 3: 'building' })
    expect(await generation(3)).toMatchObject({ report: undefined, parts: [{ leading: false }] })
  })

  test('what is not there is neither moved nor swapped in', async () => {
    const { store, states } = await control()
    for (const projection of ['list', 'nobody']) {
      expect(await store.move(projection, 9, 'cancelling')).toBe(false)
      expect(await store.swap(projection, 9)).toEqual({ kind: 'refused' })
      await store.lead(projection, 9, 0, 1)
      await store.fallBehind(projection, 9, [0])
      await store.gone(projection, 9, 0)
    }
    expect(await states()).toEqual({ 1: 'active' })
    expect(await store.projection('nobody')).toBeUndefined()
  })
}
