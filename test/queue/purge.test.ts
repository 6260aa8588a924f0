import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { DONE, FAILED, queueHarness } from '../support/queue-harness.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

test('a purge empties a queue of what waits; what comes afterwards is delivered', async () => {
  const { queue, start, open, delivered } = await queueHarness()
  const send = (id: string) => queue.enqueue({ queue: 'default', functionId: 'job::run', data: {}, id })
  await queue.define('default', { concurrency: 1, max_retries: 5 })
  start()
  for (let n = 1; n <= 2_500; n += 1) void send(`m-${n}`)
  await eventually(() => open.length === 1)
  await send('last')
  expect(await queue.purge('default')).toBe(2_501)
  // The one that was under way fails: it is gone and not tried again.
  open[0]?.answer(FAILED)
  await send('new')
  await eventually(() => open[0]?.id === 'new')
  open[0]?.answer(DONE)
  await eventually(() => open.length === 0)
  expect(delivered).toEqual(['m-1', 'new'])
  await eventually(() => open.length === 0)
  expect((await queue.status('default'))[0]).toMatchObject({ depth: 0, dead: 0, inFlight: 0, retrying: 0 })
})

test('a message that was purged during its delivery is not sent again over a new link', async () => {
  const { queue, start, open, delivered, settled } = await queueHarness()
  await queue.define('default', { concurrency: 2 })
  start()
  for (const id of ['m-1', 'm-2', 'm-3'])
    await queue.enqueue({ queue: 'default', functionId: 'job::run', data: {}, id })
  await eventually(() => open.length === 2)
  await queue.purge('default')
  await queue.enqueue({ queue: 'default', functionId: 'job::run', data: {}, id: 'new' })
  open.length = 0
  queue.reconnected()
  await eventually(() => open.some(({ id }) => id === 'new'))
  await settled()
  expect(delivered).toEqual(['m-1', 'm-2', 'new'])
  open[0]?.answer(DONE)
  await settled()
  expect((await queue.status('default'))[0]).toMatchObject({ depth: 0, dead: 0, inFlight: 0 })
})

test('letters that are redriven while a purge goes on are not purged', async () => {
  const { queue, store, start, open, settled } = await queueHarness()
  await queue.define('default', { concurrency: 1, max_retries: 1 })
  start()
  await queue.enqueue({ queue: 'default', functionId: 'job::run', data: {}, id: 'letter' })
  await eventually(() => open.length === 1)
  open[0]?.answer(FAILED)
  await settled()
  for (let n = 1; n <= 1_500; n += 1)
    void queue.enqueue({ queue: 'default', functionId: 'job::run', data: {}, id: `m-${n}` })
  await eventually(() => open.length === 1)
  await settled()
  const purge = store.purge.bind(store)
  let redriven: Promise<number> | undefined
  store.purge = async (...chunk) => {
    const purged = await purge(...chunk)
    redriven ??= queue.redrive('default')
    await settled()
    return purged
  }
  expect(await queue.purge('default')).toBe(1_500)
  expect(await redriven).toBe(1)
  open[0]?.answer(DONE)
  await eventually(() => open[0]?.id === 'letter')
})

test('a purge of an unknown queue is refused', async () => {
  const { queue } = await queueHarness()
  await expect(queue.purge('nothing')).rejects.toMatchObject({ code: 'CQRS_NOT_FOUND' })
})

test('a purge that is killed has deleted the oldest part, and counts stay true', {
  timeout: 60_000,
}, async () => {
  const folder = tempFolder()
  const module = (path: string) => JSON.stringify(new URL(`../../src/queue/${path}`, import.meta.url).href)
  const script = `
    const { openSqliteQueueStore } = await import(${module('sqlite/store.ts')})
    const { parseQueueSettings } = await import(${module('settings.ts')})
    const store = await openSqliteQueueStore({ folder: ${JSON.stringify(folder)} })
    await store.define('jobs', { settings: parseQueueSettings('jobs', {}), subscription: undefined })
    await store.enqueue(Array.from({ length: 3000 }, (_, n) => (
      { queue: 'jobs', id: 'm-' + n, functionId: 'job::run', group: undefined, data: '{}' })))
    await store.purge('jobs', 3000, 1000)
    void store.purge('jobs', 3000, 1000)
    setImmediate(() => process.kill(process.pid, 'SIGKILL'))`
  const program = join(folder, 'purge.mjs')
  writeFileSync(program, script)
  const child = spawn(process.execPath, [program], { stdio: 'inherit' })
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL'])
  const store = await openSqliteQueueStore({ folder })
  onTestFinished(() => store.close())
  const { messages } = await store.read('jobs', 0, 5_000, 1_000_000)
  expect([1_000, 2_000]).toContain(messages.length)
  expect(messages.at(0)?.seq).toBe(3_000 - messages.length + 1)
  expect(await store.counts('jobs')).toEqual({ depth: messages.length, dead: 0 })
})
