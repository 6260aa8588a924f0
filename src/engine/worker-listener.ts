import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { connectToChannel, readChannelRequest } from './channel-socket.ts'
import type { FrameRouter } from './frame-router.ts'
import type { Hub } from './hub.ts'
import type { WorkerLimits } from './options.ts'
import { parseFrame } from './parse-frame.ts'
import { Session } from './session.ts'
import { isTelemetry, type TelemetryRelay } from './telemetry.ts'
import { DEMAND, WorkerDoor } from './worker-door.ts'

/** Consecutive checks without a sign of life that a connection may have; at the next one it is cut. */
const SILENT_LOOKS = 3

/**
 * The WebSocket side of the engine: accepts workers on `/`, the ends of channels on `/ws/channels/…`, and telemetry on
 * `/otel`, which it passes on or drops.
 */
export class WorkerListener {
  readonly server: Server
  readonly #hub: Hub
  readonly #router: FrameRouter
  readonly #limits: WorkerLimits
  readonly #now: () => number
  readonly #door: WorkerDoor
  readonly #telemetry: TelemetryRelay | undefined
  readonly #webSockets: WebSocketServer
  /** Checks since the last sign of life. */
  readonly #silentLooks = new WeakMap<WebSocket, number>()
  readonly #looking: NodeJS.Timeout

  /**
   * @param secret the secret that workers must send, if one is required
   * @param telemetry where telemetry goes; if left out, it is dropped
   */
  constructor(
    hub: Hub,
    router: FrameRouter,
    limits: WorkerLimits,
    now: () => number,
    secret: string | undefined,
    telemetry: TelemetryRelay | undefined,
  ) {
    this.#telemetry = telemetry
    this.#hub = hub
    this.#router = router
    this.#limits = limits
    this.#now = now
    this.#door = new WorkerDoor(secret, hub.logger, () => performance.now())
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: limits.maxFrameBytes,
    })
    this.#looking = setInterval(() => this.#cutSilent(), limits.silentMs / SILENT_LOOKS)
    this.#looking.unref()
    const timeouts = {
      headersTimeout: limits.handshakeTimeoutMs,
      requestTimeout: limits.handshakeTimeoutMs,
      // Node enforces the two timeouts above only this often.
      connectionsCheckingInterval: Math.max(50, limits.handshakeTimeoutMs / 4),
    }
    this.server = createServer(timeouts, (_request, response) => {
      response
        .writeHead(400, { 'content-type': 'text/plain' })
        .end('This port accepts only WebSocket connections of iii workers.\n')
    })
    this.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
  }

  /** Stops listening and cuts every connection. */
  async close(): Promise<void> {
    clearInterval(this.#looking)
    for (const ws of this.#webSockets.clients) ws.terminate()
    this.#hub.channels.close()
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const accept = this.#acceptorOf(request.url ?? '')
    if (accept === undefined) refuse(socket, '404 Not Found')
    else if (!isTrustedOrigin(request.headers.origin)) refuse(socket, '403 Forbidden')
    else if (!this.#door.admits(request)) refuse(socket, '401 Unauthorized', DEMAND)
    else
      this.#webSockets.handleUpgrade(request, socket, head, (ws) => {
        this.#listenForLife(ws)
        accept(ws, socket, request)
      })
  }

  #listenForLife(ws: WebSocket): void {
    const alive = () => void this.#silentLooks.set(ws, 0)
    for (const sign of ['message', 'ping', 'pong']) ws.on(sign, alive)
  }

  /**
   * Cuts connections whose other end vanished silently. Otherwise the engine would go on calling its functions and
   * never try another worker. Checks are counted instead of time: an engine that was itself stopped and resumes must
   * not cut workers whose signs of life it has not read yet.
   */
  #cutSilent(): void {
    for (const ws of this.#webSockets.clients) {
      const looks = (this.#silentLooks.get(ws) ?? 0) + 1
      this.#silentLooks.set(ws, looks)
      if (looks <= SILENT_LOOKS) {
        ws.ping()
        continue
      }
      this.#hub.logger.warn(
        { silentMs: this.#limits.silentMs },
        'a connection gives no sign of life and is closed',
      )
      ws.terminate()
    }
  }

  #acceptorOf(
    target: string,
  ): ((ws: WebSocket, socket: Duplex, request: IncomingMessage) => void) | undefined {
    const path = target.split('?', 1)[0]
    if (path === '/') return this.#acceptWorker
    if (path === '/otel') return this.#acceptTelemetry
    const asked = readChannelRequest(this.#hub.channels, target)
    return asked && ((ws) => connectToChannel(ws, asked))
  }

  readonly #acceptTelemetry = (ws: WebSocket): void => {
    ws.on('error', () => {})
    ws.on('message', (data, isBinary) => {
      if (isBinary) this.#telemetry?.take(data as Buffer)
    })
  }

  readonly #acceptWorker = (ws: WebSocket, socket: Duplex, request: IncomingMessage): void => {
    const session = new Session({
      id: this.#hub.newId(),
      reattachToken: this.#hub.newId(),
      connectedAt: this.#now(),
      ipAddress: request.socket.remoteAddress ?? '',
      ws,
      socket,
      maxBufferedBytes: this.#limits.maxBufferedBytes,
      onOverflow: () => {
        this.#hub.logger.error(
          { worker: session.id, limit: this.#limits.maxBufferedBytes },
          'worker cut off: it does not read what it is sent',
        )
      },
    })
    // Oversized and malformed messages raise this error; `close` follows.
    ws.on('error', (error) =>
      this.#hub.logger.warn({ worker: session.id, err: error }, 'connection of a worker failed'),
    )
    ws.on('close', () => this.#hub.remove(session))
    ws.on('message', (data, isBinary) => this.#receive(session, ws, data, isBinary))
    this.#hub.add(session)
  }

  #receive(session: Session, ws: WebSocket, data: RawData, isBinary: boolean): void {
    // A retired connection may still hold frames that arrived before it was cut.
    if (session.closed) return
    const bytes = data as Buffer
    if (isBinary) {
      // The SDK may also send telemetry over a worker's own socket.
      if (isTelemetry(bytes)) {
        this.#telemetry?.take(bytes)
        return
      }
    } else if (bytes.length === 0) return
    try {
      this.#router.route(session, parseFrame(bytes.toString('utf8'), this.#limits.maxDepth))
    } catch (error) {
      this.#hub.logger.error(
        { worker: session.id, err: error },
        'a frame could not be handled; its connection is cut',
      )
      ws.terminate()
    }
  }
}

function refuse(socket: Duplex, status: string, text = ''): void {
  socket.on('error', () => {})
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

/**
 * Whether a request may come from this page. Browsers let any page open a WebSocket to this machine; only pages that
 * this machine serves may do so here.
 */
function isTrustedOrigin(origin: string | undefined): boolean {
  if (origin === undefined) return true
  try {
    return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(origin).hostname)
  } catch {
    return false
  }
}
