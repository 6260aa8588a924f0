import type { PassThrough } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Channel, ChannelItem, Channels, Direction } from './channels.ts'

const PATH = '/ws/channels/'

/** Normal closure (RFC 6455, 7.4.1). */
const CLOSE_NORMAL = 1000

/** The end of a channel that a WebSocket request asks for. */
export interface ChannelRequest {
  readonly channel: Channel
  readonly direction: Direction
}

/** Reads `/ws/channels/<id>?key=<key>&dir=read|write`; undefined if there is no such channel to open. */
export function readChannelRequest(channels: Channels, target: string): ChannelRequest | undefined {
  const [path = '', query = ''] = target.split('?', 2)
  if (!path.startsWith(PATH)) return undefined
  const parameters = new URLSearchParams(query)
  const direction = parameters.get('dir')
  if (direction !== 'read' && direction !== 'write') return undefined
  const channel = channels.get(path.slice(PATH.length), parameters.get('key') ?? '')
  return channel && { channel, direction }
}

/** Connects a WebSocket to its end of a channel. If that end was opened before, the WebSocket is closed at once. */
export function connectToChannel(ws: WebSocket, { channel, direction }: ChannelRequest): void {
  // Malformed and oversized messages raise this error; `close` follows.
  ws.on('error', () => {})
  const pipe = channel.open(direction)
  if (pipe === undefined) ws.close(CLOSE_NORMAL, 'already connected')
  else if (direction === 'read') void sendAll(ws, pipe)
  else receiveAll(ws, pipe)
}

/** Sends what comes out of the channel, no faster than the socket takes it. */
async function sendAll(ws: WebSocket, pipe: PassThrough): Promise<void> {
  ws.on('close', () => pipe.destroy())
  try {
    for await (const { data, isBinary } of pipe as AsyncIterable<ChannelItem>) {
      await new Promise<void>((resolve, reject) => {
        ws.send(data, { binary: isBinary }, (error) => (error ? reject(error) : resolve()))
      })
    }
    ws.close(CLOSE_NORMAL, 'end of channel')
  } catch {
    // One side went away before it had finished. The other side must not mistake that for the regular end.
    ws.terminate()
  }
}

/** Writes the messages of the socket into the channel, and pauses the socket while the channel is full. */
function receiveAll(ws: WebSocket, pipe: PassThrough): void {
  ws.on('message', (data, isBinary) => {
    if (pipe.destroyed) return
    const item: ChannelItem = { data: data as Buffer, isBinary }
    if (!pipe.write(item)) ws.pause()
  })
  pipe.on('drain', () => ws.resume())
  pipe.on('close', () => {
    ws.resume()
    ws.close(CLOSE_NORMAL, 'the reader is gone')
  })
  ws.on('close', () => pipe.end())
}
