import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import type { ControlStore, PartProgress } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { tempFolder } from '../support/temp-folder.ts'

const AT_END: PartProgress = {
  phase: 'following',
  position: 10,
  target: 10,
  eventsPerSecond: 0,
  error: undefined,
}

/** A control store with generation 1 of a projection; `open` gives further ones, as of other processes. */
async function control(partitions = 1) {
  const path = join(tempFolder(), 'control.db')
  const opened: ControlStore[] = []
  const open = () => {
    const store = openSqliteControl({ path })
    opened.push(store)
    return store
  }
  onTestFinished(() => {
    for (const store of opened) store.close()
  })
  const store = open()
  await store.adopt({ projection: 'list', generation: 1, version: 1, partitions })
  const states = async (of = store) =>
    Object.fromEntries(
      (await of.projection('list'))?.generations.map(({ generation, state }) => [generation, state]) ?? [],
    )
  const request = (options: Partial<Parameters<ControlStore['request']>[0]> = {}) =>
    store.request({ projection: 'list', version: 1, partitions, purpose: 'serve', by: 'test', ...options })
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
  return { store, path, open, states, request, makeReady }
}

test('what lies in the data folder is adopted once, and serves', async () => {
  const { store, open, states } = await control()
  await open().adopt({ projection: 'list', generation: 7, version: 9, partitions: 3 })
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
  const { store, request, states, makeReady } = await control()
  await request()
  await makeReady(2)
  await store.swap('list', 2)
  await store.tookOver('list', 0, 1)
  expect(await store.move('list', 1, 'returning')).toBe(true)
  expect(await store.swap('list', 1)).toEqual({ kind: 'not-yet' })
  await store.lead('list', 1, 0, 2)
  expect(await store.swap('list', 1)).toEqual({ kind: 'swapped' })
  expect(await states()).toEqual({ 1: 'active', 2: 'previous' })
})

test('moves happen only from the states that lead there', async () => {
  const { store, request, states } = await control()
  for (const to of ['retired', 'pruning', 'cancelling', 'failed', 'returning', 'verified'] as const) {
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
  const other = open()
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
  const { store, path, request, makeReady } = await control()
  await request()
  await makeReady(2)
  await store.swap('list', 2)
  await store.tookOver('list', 0, 1)
  const flag = new Int32Array(new SharedArrayBuffer(4))
  const thread = new Worker(new URL('../support/swapping-thread.ts', import.meta.url), {
    workerData: { path, flag },
  })
  const swapped = new Promise<number>((resolve, reject) => {
    thread.once('message', resolve)
    thread.once('error', reject)
  })
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
}, 30_000)

test('a rollback that was cancelled has to lead anew when it is wished again', async () => {
  const { store, request, makeReady } = await control()
  await request()
  await makeReady(2)
  await store.swap('list', 2)
  await store.tookOver('list', 0, 1)
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
