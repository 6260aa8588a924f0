import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { corkUntilTurnEnds } from '../turn-cork.ts'

/**
 * Has the frames that this process sends to the engine within one turn of the event loop leave in one write. `ws`
 * writes each frame by itself, and a write costs more than all else that is done about a frame: when a group commit
 * answers fifty commands, that is one write instead of fifty, and one read for the engine.
 *
 * The SDK does not hand out its socket, so that Node's own announcement of new sockets is listened to
 * (https://nodejs.org/api/diagnostics_channel.html, `net.client.socket`); connections that the SDK makes later are covered,
 * too. If the socket is not found, for instance behind TLS, frames are sent as they always were.
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

/** `ws` corks the socket for each frame; the first one of a turn corks it until the turn is over. */
function holdUntilTurnEnds(socket: Socket): void {
  const hold = corkUntilTurnEnds(socket)
  const cork = socket.cork.bind(socket)
  socket.cork = () => {
    hold()
    cork()
  }
}
