import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { writeOncePerTurn } from '../../../src/workers/link/one-write-per-turn.ts'

const FRAMES = Array.from({ length: 50 }, (_, index) => `frame ${index}`)

test('frames of one turn reach the engine in order and in one write', async () => {
  const engine = await serve()
  writeOncePerTurn(engine.url)
  const client = await connect(engine.url)
  for (const frame of FRAMES) client.ws.send(frame)
  expect(client.writes()).toBe(0)
  await engine.received(FRAMES.length)
  expect(client.writes()).toBe(1)

  client.ws.send('of another turn')
  await engine.received(FRAMES.length + 1)
  expect(client.writes()).toBe(2)
  expect(engine.frames).toEqual([...FRAMES, 'of another turn'])
})

test('a socket to somewhere else writes each frame at once', async () => {
  const [engine, other] = [await serve(), await serve()]
  writeOncePerTurn(engine.url)
  const client = await connect(other.url)
  for (const frame of FRAMES) client.ws.send(frame)
  expect(client.writes()).toBe(FRAMES.length)
  await other.received(FRAMES.length)
  expect(other.frames).toEqual(FRAMES)
})

async function serve() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  onTestFinished(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  const frames: string[] = []
  let look = () => {}
  server.on('connection', (socket) =>
    socket.on('message', (data) => {
      frames.push(String(data))
      look()
    }),
  )
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    frames,
    received: (count: number) =>
      new Promise<void>((resolve) => {
        look = () => frames.length >= count && resolve()
        look()
      }),
  }
}

/** Connects, and counts what is handed to the operating system from then on. */
async function connect(url: string) {
  let socket: Socket | undefined
  const find = (message: unknown) => {
    socket = (message as { socket: Socket }).socket
  }
  subscribe('net.client.socket', find)
  const ws = new WebSocket(url)
  onTestFinished(() => ws.terminate())
  unsubscribe('net.client.socket', find)
  await once(ws, 'open')
  if (!socket) throw new Error('Node announced no socket.')
  let writes = 0
  for (const name of ['_write', '_writev'] as const) {
    const write = socket[name]?.bind(socket) as (...given: unknown[]) => void
    socket[name] = (...given: unknown[]) => {
      writes += 1
      write(...given)
    }
  }
  return { ws, writes: () => writes }
}
