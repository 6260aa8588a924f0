import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { EngineLogger } from './logger.ts'
import { SECRET_HEADER } from './options.ts'

/** What a worker without the secret is told. */
export const DEMAND = `This engine asks workers for its secret in the header ${SECRET_HEADER}.\n`

/** How often a refusal is logged at most, in milliseconds. A worker that is refused tries again and again. */
const TELL_EVERY_MS = 60_000

/** Decides who may open a socket to the engine, if it requires a secret. */
export class WorkerDoor {
  readonly #secret: Buffer | undefined
  readonly #logger: EngineLogger
  readonly #now: () => number
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(secret: string | undefined, logger: EngineLogger, now: () => number) {
    this.#secret = secret === undefined ? undefined : digest(secret)
    this.#logger = logger
    this.#now = now
  }

  /**
   * Whether a handshake may go on. Two kinds of sockets need no secret: ends of channels, which carry a key that only a
   * worker can have, and telemetry, because the SDK sends no headers with it; telemetry is accepted from this machine
   * only.
   */
  admits(request: IncomingMessage): boolean {
    if (this.#secret === undefined) return true
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    if (path.startsWith('/ws/channels/')) return true
    const address = request.socket.remoteAddress ?? ''
    if (path === '/otel' && /^(::ffff:)?127\.|^::1$/.test(address)) return true
    const given = request.headers[SECRET_HEADER]
    if (timingSafeEqual(digest(typeof given === 'string' ? given : ''), this.#secret)) return true
    if (this.#now() - this.#toldAt >= TELL_EVERY_MS) {
      this.#toldAt = this.#now()
      this.#logger.warn(
        { address, secretGiven: given !== undefined },
        'a worker without the right secret was refused',
      )
    }
    return false
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
