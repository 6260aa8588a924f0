import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { ChannelRef } from '../../src/engine/channels.ts'
import { until } from '../support/until.ts'
import { engineForTest, route, workerForTest } from './start.ts'

function open(url: string, ref: ChannelRef): WebSocket {
  const ws = new WebSocket(`${url}/ws/channels/${ref.channel_id}?key=${ref.access_key}&dir=${ref.direction}`)
  ws.on('error', () => {})
  return ws
}

test('a writer is cut off when its reader goes away', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const { result } = await worker.call('engine::channels::create', { buffer_size: 1 })
  const { writer, reader } = result as { writer: ChannelRef; reader: ChannelRef }
  const [writing, reading] = [open(engine.url, writer), open(engine.url, reader)]
  await until('both ends', () => [writing, reading].every((ws) => ws.readyState === WebSocket.OPEN))
  reading.terminate()
  await until('the writer to be closed', () => writing.readyState === WebSocket.CLOSED)
})

test('a writer is held back while nobody reads, and goes on when somebody does', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const { result } = await worker.call('engine::channels::create', { buffer_size: 2 })
  const { writer, reader } = result as { writer: ChannelRef; reader: ChannelRef }
  const writing = open(engine.url, writer)
  await until('the writer', () => writing.readyState === WebSocket.OPEN)
  const pieces = 300
  for (let sent = 0; sent < pieces; sent += 1) writing.send(Buffer.alloc(200_000, sent))
  let left = 0
  await until('the engine to stop reading', async () => {
    const before = left
    left = writing.bufferedAmount
    await worker.settled()
    return left > 0 && left === before
  })
  const reading = open(engine.url, reader)
  let received = 0
  reading.on('message', () => {
    received += 1
  })
  await until('everything to arrive', () => received === pieces)
})

test('a client that goes away closes the answer that a function is writing', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  let writing: WebSocket | undefined
  await route(worker, { api_path: '/stream' }, (request) => {
    writing = open(engine.url, request.response as ChannelRef)
    writing.once('open', () => writing?.send(Buffer.from('a beginning')))
    return undefined
  })
  const leaving = new AbortController()
  const response = await fetch(`${engine.httpUrl}/stream`, { signal: leaving.signal })
  await response.body?.getReader().read()
  leaving.abort()
  await until('the writer to be closed', () => writing?.readyState === WebSocket.CLOSED)
})

test('the channels of a request end with it: none can be opened afterwards', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  let seen: Record<string, unknown> = {}
  await route(worker, { api_path: '/short' }, (request) => {
    seen = request
    return { body: {} }
  })
  expect((await fetch(`${engine.httpUrl}/short`)).status).toBe(200)
  for (const ref of [seen.request_body, seen.response] as ChannelRef[]) {
    const late = open(engine.url, ref)
    const status = await new Promise((resolve) =>
      late.once('unexpected-response', (_request, response) => resolve(response.statusCode)),
    )
    expect(status).toBe(404)
  }
})

test('a body that is no JSON may be larger than the limit: it is never held in memory', async () => {
  const engine = await engineForTest({ http: { maxBodyBytes: 1_000 } })
  const worker = await workerForTest(engine)
  await route(worker, { api_path: '/upload', http_method: 'POST' }, (request) => {
    const reading = open(engine.url, request.request_body as ChannelRef)
    let bytes = 0
    reading.on('message', (data: Buffer) => {
      bytes += data.length
    })
    return new Promise((resolve) => reading.once('close', () => resolve({ body: bytes })))
  })
  const response = await fetch(`${engine.httpUrl}/upload`, {
    method: 'POST',
    headers: { 'content-type': 'application/pdf' },
    body: Buffer.alloc(500_000),
  })
  expect([response.status, await response.json()]).toEqual([200, 500_000])
})
