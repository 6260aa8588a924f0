import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { TcpProxy } from '../../src/chaos/tcp-proxy.ts'
import { until } from '../support/until.ts'

/** A server that keeps what it gets, with a proxy before it. */
async function behindProxy() {
  const peers: { socket: Socket; got: string; closed: boolean }[] = []
  const server = createServer((socket) => {
    const peer = { socket, got: '', closed: false }
    peers.push(peer)
    socket.on('data', (data) => (peer.got += data))
    socket.on('error', () => {})
    socket.on('close', () => (peer.closed = true))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const proxy = await TcpProxy.to(`ws://127.0.0.1:${port}`)
  onTestFinished(async () => {
    await proxy.close()
    for (const { socket } of peers) socket.destroy()
    server.close()
  })
  const dial = async () => {
    const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
    const client = { socket, got: '', closed: false }
    socket.on('data', (data) => (client.got += data))
    socket.on('error', () => {})
    socket.on('close', () => (client.closed = true))
    await once(socket, 'connect')
    socket.write('hello ')
    const before = peers.length
    await until('the server was reached', () => peers.length > before || peers.at(-1)?.got)
    onTestFinished(() => void socket.destroy())
    return client
  }
  return { proxy, peers, dial }
}

test('what is cut ends at both ends, and new connections pass', async () => {
  const { proxy, peers, dial } = await behindProxy()
  const client = await dial()
  await proxy.breakConnections()
  await until('both ends are told', () => client.closed && peers[0]?.closed)
  await dial()
  await until('the new one passes', () => peers[1]?.got === 'hello ')
})

test('what is stalled passes nothing, and everything in its order when it goes on', async () => {
  const { proxy, peers, dial } = await behindProxy()
  const client = await dial()
  await until('it passes', () => peers[0]?.got === 'hello ')
  proxy.stall()
  for (let number = 0; number < 100; number += 1) client.socket.write(`${number} `)
  peers[0]?.socket.write('answer')
  const later = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  onTestFinished(() => void later.destroy())
  later.write('later')
  // What was written later through a proxy that is not stalled has passed by then, and so would this have.
  const other = await behindProxy()
  await other.dial()
  await until('another proxy passes', () => other.peers[0]?.got === 'hello ')
  expect([peers[0]?.got, client.got, peers[1]?.got ?? '']).toEqual(['hello ', '', ''])
  proxy.resume()
  const all = `hello ${Array.from({ length: 100 }, (_, number) => `${number} `).join('')}`
  await until('everything is there', () => peers[0]?.got === all && client.got === 'answer')
  await until('also what connected meanwhile', () => peers[1]?.got === 'later')
})

test('what is half-open stays open at both ends, passes nothing, and tells neither of the end of the other', async () => {
  const { proxy, peers, dial } = await behindProxy()
  const client = await dial()
  await until('it passes', () => peers[0]?.got === 'hello ')
  proxy.loseConnections()
  client.socket.write('lost')
  peers[0]?.socket.write('lost')
  client.socket.destroy()
  await dial()
  await until('new connections pass', () => peers[1]?.got === 'hello ')
  expect(peers[0]).toMatchObject({ got: 'hello ', closed: false })
  expect(client.got).toBe('')
})
