import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startCollector } from '../support/collector.ts'
import type { Frame } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const called = (functionId: string) => (frame: Frame) =>
  frame.type === 'invokefunction' && frame.function_id === functionId

test('the trace of an HTTP request comes to the function of its route, to middleware and conditions', async () => {
  const engine = await engineForTest({ http: { middleware: [{ functionId: 'test::guard', priority: 0 }] } })
  const worker = await workerForTest(engine)
  await worker.offer('test::guard', () => ({ action: 'continue' }))
  await worker.offer('test::condition', () => true)
  const config = { api_path: 'items', condition_function_id: 'test::condition' }
  await route(worker, config, () => ({ status_code: 200, body: null }))
  const headers = { traceparent: TRACEPARENT, baggage: 'tenant=7' }
  expect((await fetch(`${engine.httpUrl}/items`, { headers })).status).toBe(200)
  for (const id of ['test::guard', 'test::condition', 'test::GETitems']) {
    const frame = worker.frames.find(called(id))
    expect(frame).toMatchObject({ traceparent: TRACEPARENT })
    expect(String(frame?.baggage).split(',')).toContain('tenant=7')
  }
})

test.each([
  ['none', undefined],
  ['ids of zeros', '00-00000000000000000000000000000000-b7ad6b7169203331-01'],
  ['a version that is forbidden', 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['something else', 'yesterday'],
])('a request with %s as its trace is served as one without', async (_, traceparent) => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  await route(worker, { api_path: 'items' }, () => ({ status_code: 200, body: null }))
  const headers = { baggage: 'tenant=7', ...(traceparent && { traceparent }) }
  expect((await fetch(`${engine.httpUrl}/items`, { headers })).status).toBe(200)
  const frame = worker.frames.find(called('test::GETitems'))
  expect(frame).not.toHaveProperty('traceparent')
  expect(frame).not.toHaveProperty('baggage')
})

test('the trace of a publisher comes to the subscribers, that of an enqueuer to the queue provider', async () => {
  const engine = await engineForTest()
  const [worker, caller] = [await workerForTest(engine), await workerForTest(engine)]
  const subscription = { id: 's', trigger_type: 'subscribe', function_id: 'test::hear' }
  worker.send({ type: 'registertrigger', ...subscription, config: { topic: 'news' } })
  await worker.offer('test::hear', () => null)
  await worker.offer('engine::queue::enqueue', () => null)
  await caller.call('publish', { topic: 'news', data: 1 }, { traceparent: TRACEPARENT })
  expect(await worker.next('the news', called('test::hear'))).toMatchObject({ traceparent: TRACEPARENT })
  await caller.call('any::thing', 1, { traceparent: TRACEPARENT, action: { type: 'enqueue', queue: 'q' } })
  expect(worker.frames.find(called('engine::queue::enqueue'))).toMatchObject({ traceparent: TRACEPARENT })
})

/** A connection for telemetry alone, as the SDK opens it. */
async function telemetry(url: string): Promise<(frame: string) => void> {
  const socket = new WebSocket(`${url}/otel`)
  onTestFinished(() => socket.terminate())
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return (frame) => socket.send(Buffer.from(frame))
}

test('telemetry of workers goes on to the collector, each kind to its own path', async () => {
  const collector = await startCollector()
  const engine = await engineForTest({ otlpEndpoint: `${collector.endpoint}/` })
  const send = await telemetry(engine.url)
  for (const frame of ['OTLP{"resourceSpans":[]}', 'MTRC{"resourceMetrics":[]}', 'LOGS{"n":"é"}']) send(frame)
  send('WHAT{}')
  // Also on a worker's own connection.
  const worker = await workerForTest(engine)
  worker.ws.send(Buffer.from('OTLP{"resourceSpans":[{"scopeSpans":[],"resource":{"attributes":[]}}]}'))
  await until('four exports', () => collector.exports.length === 4)
  expect(collector.exports.map(({ path }) => path).sort()).toEqual([
    '/v1/logs',
    '/v1/metrics',
    '/v1/traces',
    '/v1/traces',
  ])
  expect(collector.exports.find(({ path }) => path === '/v1/logs')?.body).toEqual({ n: 'é' })
})

test('a collector that fails holds up nothing; it is said once, and again when it works', async () => {
  const collector = await startCollector()
  const said: string[] = []
  const note = (_: object, message: string) => void said.push(message)
  const logger = { debug() {}, info: note, warn: note, error: note }
  const engine = await engineForTest({ otlpEndpoint: collector.endpoint, logger })
  const send = await telemetry(engine.url)
  collector.answers(503)
  for (let n = 1; n <= 3; n += 1) {
    send('OTLP{}')
    await until('the export', () => collector.exports.length === n)
  }
  collector.answers(200)
  send('OTLP{}')
  await until('it works again', () => said.some((message) => message.includes('takes telemetry again')))
  expect(said.filter((message) => message.includes('does not take telemetry'))).toHaveLength(1)
  await workerForTest(engine)
})
