import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { EngineLogger } from './logger.ts'
import { SECRET_HEADER } from './options.ts'

/** What a worker without the secret is told. */
export const DEMAND = `This engine asks workers for its secret in the header ${SECRET_HEADER}.\n`

/** A worker that is refused tries again and again: it is told of this often. */
const TELL_EVERY_MS = 60_000

/** Decides who may open a socket to the engine, where it asks for a secret. */
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
   * Whether a handshake may go on. Ends of channels show a key of their own, which only a worker has; the SDK
   * sends no headers with telemetry, so that is taken from this machine only.
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
