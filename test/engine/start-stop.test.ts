import { type AddressInfo, connect, createServer, Server } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { startEngine } from '../../src/engine/engine.ts'
import { functionKnown, sdkWorker } from '../support/sdk-worker.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

test('a taken port is CQRS_PORT_TAKEN, naming the port and how to choose another', async () => {
  const taken = createServer()
  onTestFinished(() => void taken.close())
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  for (const options of [
    { port, http: { port: 0 } },
    { port: 0, http: { port } },
  ]) {
    const failure = startEngine(options)
    await expect(failure).rejects.toMatchObject({ code: 'CQRS_PORT_TAKEN', details: { port } })
    await expect(failure).rejects.toThrow(String(port))
    await expect(failure).rejects.toThrow(/another port/)
    if (port >= 32_768) await expect(failure).rejects.toThrow(/range/)
  }
})

test('unless something else is configured, workers and HTTP clients of this machine only can connect', async () => {
  const listen = vi.spyOn(Server.prototype, 'listen')
  onTestFinished(() => listen.mockRestore())
  const engine = await engineForTest()
  const bound = listen.mock.contexts.map((server) => (server as Server).address() as AddressInfo)
  expect(bound.map(({ address, port }) => [address, port])).toEqual([
    ['127.0.0.1', engine.port],
    ['127.0.0.1', engine.httpPort],
  ])
})

test('a start that fails over the second port frees the first', async () => {
  const engine = await engineForTest()
  const other = await engineForTest()
  await other.close()
  const options = { port: other.port, http: { port: engine.httpPort ?? 0 } }
  await expect(startEngine(options)).rejects.toMatchObject({ code: 'CQRS_PORT_TAKEN' })
  const again = await startEngine({ port: other.port, http: { port: 0 } })
  await again.close()
})

test('closing disconnects workers, ends what they wait for and frees the ports; start and stop may follow each other', async () => {
  const path = `${tempFolder()}/state.db`
  for (let round = 0; round < 5; round += 1) {
    const engine = await startEngine({ port: 0, http: { port: 0 }, state: { path } })
    const worker = await workerForTest(engine)
    const before = await worker.call('state::update', {
      scope: 's',
      key: 'rounds',
      ops: [{ type: 'increment', path: '', by: 1 }],
    })
    expect(before.result).toMatchObject({ new_value: round + 1 })
    const closed = new Promise((resolve) => worker.ws.once('close', resolve))
    await engine.close()
    await closed
    await expect(fetch(engine.httpUrl ?? '')).rejects.toThrow()
  }
})

test('workers come back by themselves to an engine that was restarted', async () => {
  const first = await startEngine({ port: 0, http: false })
  onTestFinished(() => first.close())
  const worker = await sdkWorker(first.url)
  worker.registerFunction('back::f', async () => 'back')
  await functionKnown(worker, 'back::f')
  await first.close()
  const second = await engineForTest({ port: first.port, http: false })
  const caller = await workerForTest(second)
  await until('the worker to be back', async () => (await caller.call('back::f', {})).result === 'back')
})

test('parts can be left out', async () => {
  const engine = await engineForTest({ http: false, state: false, pubsub: false })
  expect(engine.httpPort).toBeUndefined()
  const worker = await workerForTest(engine)
  for (const id of ['state::get', 'publish']) {
    expect((await worker.call(id, {})).error).toMatchObject({ code: 'function_not_found' })
  }
  worker.send({
    type: 'registertrigger',
    id: 't',
    trigger_type: 'http',
    function_id: 'f',
    config: { api_path: '/' },
  })
  await worker.settled()
  expect(worker.frames.filter((frame) => frame.type === 'triggerregistrationresult')).toEqual([])
})

test('web pages from elsewhere cannot connect as workers, pages of this machine can', async () => {
  const engine = await engineForTest()
  const connects = (origin: string) =>
    new Promise<boolean>((resolve) => {
      const socket = new WebSocket(engine.url, { origin })
      socket.once('open', () => resolve(true))
      socket.once('error', () => resolve(false))
      onTestFinished(() => socket.terminate())
    })
  expect(await connects('https://example.com')).toBe(false)
  expect(await connects('https://localhost.example.com')).toBe(false)
  expect(await connects('null')).toBe(false)
  expect(await connects('http://localhost:3000')).toBe(true)
  expect(await connects('http://127.0.0.1')).toBe(true)
})

test('a client that was refused and does not hang up keeps the engine from nothing', async () => {
  const engine = await engineForTest()
  const socket = connect({ port: engine.port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  socket.write('GET /elsewhere HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  const answer = await new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
  expect(answer).toContain('404')
  await engine.close()
})

test('a connection that never asks for anything is cut off', async () => {
  const engine = await engineForTest({ limits: { handshakeTimeoutMs: 100 } })
  const socket = connect(engine.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
})

test('the port of workers tells HTTP clients what it is', async () => {
  const engine = await engineForTest()
  const response = await fetch(engine.url.replace('ws:', 'http:'))
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('WebSocket')])
})
