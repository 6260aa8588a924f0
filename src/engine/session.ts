import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { corkUntilTurnEnds } from '../turn-cork.ts'
import { workerRegisteredFrame } from './frames.ts'
import type { Invocation } from './invocations.ts'
import type { TriggerAck } from './triggers.ts'

/** What a worker says about itself through `engine::workers::register`. */
export interface WorkerMetadata {
  readonly name: string | undefined
  readonly description: string | undefined
  readonly runtime: string
  readonly version: string | undefined
  readonly os: string | undefined
  readonly pid: number | undefined
  readonly isolation: string | undefined
}

/** One connected worker: its socket, and everything that must be undone when the socket closes. */
export class Session {
  readonly id: string
  readonly connectedAt: number
  readonly ipAddress: string
  /** Ids this worker registered; another worker may have taken one over since. */
  readonly functionIds = new Set<string>()
  /** Calls that this worker executes, by the invocation id it was given. */
  readonly executing = new Map<string, Invocation>()
  /** Calls that this worker waits for. */
  readonly calling = new Set<Invocation>()
  /** Registrations that wait for this worker, as the provider of a trigger type, to accept or refuse. */
  readonly triggerAcks = new Map<string, TriggerAck>()
  metadata: WorkerMetadata | undefined
  closed = false

  readonly #reattachToken: string
  readonly #ws: WebSocket
  readonly #cork: () => void
  readonly #maxBufferedBytes: number
  readonly #onOverflow: () => void

  constructor(options: {
    id: string
    reattachToken: string
    connectedAt: number
    ipAddress: string
    ws: WebSocket
    /** The TCP socket under `ws`, corked so that the frames of one turn leave in one write. */
    socket: Duplex
    /** Bytes that may wait for a worker that does not read before its connection is cut. */
    maxBufferedBytes: number
    onOverflow: () => void
  }) {
    this.id = options.id
    this.connectedAt = options.connectedAt
    this.ipAddress = options.ipAddress
    this.#reattachToken = options.reattachToken
    this.#ws = options.ws
    this.#cork = corkUntilTurnEnds(options.socket)
    this.#maxBufferedBytes = options.maxBufferedBytes
    this.#onOverflow = options.onOverflow
  }

  greet(): void {
    this.send(workerRegisteredFrame(this.id, this.#reattachToken))
  }

  /**
   * Whether a reconnecting worker is this one. Only the token proves that, because ids are public
   * (`engine::workers::list`).
   */
  isReattachedBy(token: string | undefined): boolean {
    return token === this.#reattachToken
  }

  /**
   * Queues a text frame, which leaves together with the other frames of this turn. Returns false if the session is
   * closed, or is cut off now because too much waits for its worker.
   */
  send(frame: string): boolean {
    if (this.closed) return false
    this.#cork()
    this.#ws.send(frame)
    if (this.#ws.bufferedAmount > this.#maxBufferedBytes) {
      this.#onOverflow()
      this.terminate()
      return false
    }
    return true
  }

  /**
   * Whether more than half of the bytes that may wait for this worker are waiting. New calls are refused then, because
   * more and more of them would get the worker cut off.
   */
  get isCongested(): boolean {
    return this.#ws.bufferedAmount * 2 > this.#maxBufferedBytes
  }

  /** Closes the connection in an orderly way, and says why. */
  close(code: number, reason: string): void {
    this.#ws.close(code, reason)
  }

  /** Cuts the connection at once; the handler of its `close` event cleans up. */
  terminate(): void {
    this.#ws.terminate()
  }
}
