import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test } from 'vitest'
import { RawWorker } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

const never = () => new Promise<never>(() => {})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

test.each(['its function', 'its condition', 'its middleware'])(
  'a request that was told it is too late is not kept by %s, which never answers',
  async (which) => {
    const middleware = which === 'its middleware' ? [{ functionId: 'test::waits', priority: 1 }] : []
    const engine = await engineForTest({ http: { defaultTimeoutMs: 50, middleware } })
    const worker = await workerForTest(engine)
    await worker.call('engine::workers::register', { name: 'waits', runtime: 'test', pid: 1 })
    await worker.offer('test::waits', never)
    const condition = which === 'its condition' ? { condition_function_id: 'test::waits' } : {}
    const called = Promise.withResolvers<void>()
    await route(worker, { api_path: '/late', ...condition }, () => {
      called.resolve()
      return never()
    })
    const late = fetch(`${engine.httpUrl}/late`)
    if (which === 'its function') await called.promise
    expect((await late).status).toBe(504)
    const { result } = await worker.call('engine::workers::list', {})
    const { workers } = result as { workers: { name: string; active_invocations: number }[] }
    expect(workers.find(({ name }) => name === 'waits')).toMatchObject({ active_invocations: 0 })
    // What comes after all is for nobody, and harms nobody.
    const frame = worker.frames.find(({ type }) => type === 'invokefunction')
    worker.send({ ...frame, type: 'invocationresult', result: { body: 'late' } })
    expect((await worker.call('engine::functions::list', {})).error).toBeUndefined()
  },
)

test('a call that is never answered does not hold what it was given', async () => {
  const engine = await engineForTest({ http: false })
  const worker = await workerForTest(engine)
  const silent = await silentWorker(engine.url, 'test::waits')
  onTestFinished(() => silent.close())
  await worker.settled()
  const before = heapUsed()
  const large = 'x'.repeat(100_000)
  for (let call = 0; call < 200; call += 1) {
    worker.send({
      type: 'invokefunction',
      invocation_id: crypto.randomUUID(),
      function_id: 'test::waits',
      data: { call, large },
    })
  }
  await until('all are with the worker', () => silent.frames === 200)
  await worker.settled()
  expect(heapUsed() - before).toBeLessThan(5_000_000)
})

/** A worker that counts the calls that it gets, and does nothing about them. */
async function silentWorker(url: string, functionId: string) {
  const socket = new WebSocket(url)
  const worker = { frames: 0, close: () => socket.close() }
  socket.addEventListener('message', ({ data }) => {
    if (String(data).includes('invokefunction')) worker.frames += 1
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  socket.send(JSON.stringify({ type: 'registerfunction', id: functionId }))
  const asks = await RawWorker.connect(url)
  await until(`${functionId} is known`, async () => {
    const { error } = await asks.call('engine::functions::info', { function_id: functionId })
    return error === undefined
  })
  asks.terminate()
  return worker
}
