import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { corkUntilTurnEnds } from '../../turn-cork.ts'

/**
 * Gathers the frames that this process sends to the engine within one turn of the event loop into one write. `ws`
 * writes each frame by itself, and a write costs more than everything else that is done for a frame. When a group
 * commit answers fifty commands, that is one write instead of fifty, and one read for the engine.
 *
 * The SDK does not expose its socket. So this listens to Node's own announcement of new sockets
 * (https://nodejs.org/api/diagnostics_channel.html, `net.client.socket`), which also covers connections that the SDK
 * makes later. If the socket is not found, for instance behind TLS, each frame is written by itself, as without this
 * function.
 *
 * @param url of the engine; sockets to other ports are left alone
 */
export function writeOncePerTurn(url: string): void {
  const { port, protocol } = new URL(url)
  const enginePort = Number(port) || (protocol === 'wss:' ? 443 : 80)
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket }
    socket.once('connect', () => {
      if (socket.remotePort === enginePort) holdUntilTurnEnds(socket)
    })
  })
}

/** `ws` corks the socket for each frame; the first frame of a turn now corks it until the turn ends. */
function holdUntilTurnEnds(socket: Socket): void {
  const hold = corkUntilTurnEnds(socket)
  const cork = socket.cork.bind(socket)
  socket.cork = () => {
    hold()
    cork()
  }
}
