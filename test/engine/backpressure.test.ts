import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

/** A worker that registers a function and never reads again. */
async function deafWorker(port: number, functionId: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  )
  await new Promise<void>((resolve) => socket.once('data', () => resolve()))
  socket.pause()
  const frame = Buffer.from(JSON.stringify({ type: 'registerfunction', id: functionId }))
  // A client's frame must be masked; a mask of zeros leaves the text as it is (RFC 6455, 5.3).
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | frame.length, 0, 0, 0, 0]), frame]))
  return socket
}

test('a worker that does not read is cut off before what waits for it fills the memory', async () => {
  const MIB = 1024 * 1024
  const cut: object[] = []
  const engine = await engineForTest({
    limits: { maxBufferedBytes: 4 * MIB },
    logger: { debug() {}, info() {}, warn() {}, error: (fields) => cut.push(fields) },
  })
  const [caller, good] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  await good.offer('good::f', () => 'served')
  await deafWorker(engine.port, 'deaf::f')
  await until('the deaf worker to be registered', async () => {
    const answer = await caller.call('engine::functions::info', { function_id: 'deaf::f' })
    return answer.error === undefined
  })

  const padding = 'x'.repeat(MIB)
  const pending = caller.call('deaf::f', {})
  let sent = 0
  await until('the deaf worker to be cut off', () => {
    if (cut.length > 0) return true
    caller.send({
      type: 'invokefunction',
      function_id: 'deaf::f',
      data: { padding },
      action: { type: 'void' },
    })
    sent += 1
    return undefined
  })
  expect(cut).toMatchObject([{ limit: 4 * MIB }])
  expect((await pending).error).toMatchObject({ code: 'invocation_stopped' })
  expect((await caller.call('deaf::f', {})).error).toMatchObject({ code: 'function_not_found' })
  expect((await caller.call('good::f', {})).result).toBe('served')
  expect(sent).toBeGreaterThan(4)
})

test('requests and messages that would have a busy worker cut off are refused, and those before them are served', async () => {
  const MIB = 1024 * 1024
  const cut: object[] = []
  const engine = await engineForTest({
    limits: { maxBufferedBytes: 8 * MIB },
    logger: { debug() {}, info() {}, warn() {}, error: (fields) => cut.push(fields) },
  })
  const [busy, caller] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const stored: unknown[] = []
  await route(busy, { api_path: '/busy', http_method: 'POST' }, () => ({ status_code: 200, body: {} }))
  await busy.offer('engine::queue::enqueue', (message) => stored.push(message))
  busy.ws.pause()

  const data = { padding: 'x'.repeat(MIB - 100) }
  const post = async () => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${engine.httpUrl}/busy`, {
      method: 'POST',
      headers,
      body: JSON.stringify(data),
    })
    return { status: response.status, retryAfter: response.headers.get('retry-after') }
  }
  // More than the sockets and what the engine keeps for a worker can hold.
  const answers = Array.from({ length: 60 }, post)
  // Whatever was given to the worker has no answer yet.
  expect(await Promise.any(answers)).toEqual({ status: 503, retryAfter: '1' })
  const enqueue = () => caller.call('job::run', data, { action: { type: 'enqueue', queue: 'jobs' } })
  expect((await enqueue()).error).toMatchObject({ code: 'enqueue_error', message: /was not stored/ })

  busy.ws.resume()
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200, 503]))
  expect((await post()).status).toBe(200)
  expect((await enqueue()).error).toBeUndefined()
  expect(stored).toHaveLength(1)
  expect(cut).toEqual([])
})
