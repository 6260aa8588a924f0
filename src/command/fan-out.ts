import type { Logger } from 'pino'
import { reached, reachedNextTurn } from '../boundaries.ts'
import type { Position } from '../kernel/position.ts'

/** The message in a projection's queue: a hint how far the log has got, never the source of truth. */
export interface FanOutMessage {
  readonly projection: string
  /** First position that the message is about. */
  readonly from: Position
  /** Last position that the message is about. */
  readonly to: Position
}

/** Where the messages for one projection go. */
export interface FanOutTarget {
  readonly projection: string
  readonly queue: string
  /** The function that the queue calls. */
  readonly functionId: string
}

/**
 * Sends one message to a queue, within the trace of the first append that it stands for. Resolves when the queue has
 * accepted it.
 */
export type Enqueue = (
  target: FanOutTarget,
  message: FanOutMessage,
  traceparent: string | undefined,
) => Promise<void>

/** How often a message may be sent to a projection, and the clock used for that. */
export interface FanOutPace {
  /** The shortest time between two messages for one projection, in milliseconds. */
  readonly intervalMs: number
  /** A clock that never jumps, in milliseconds. */
  monotonic(): number
  pause(ms: number): Promise<unknown>
}

const UNPACED: FanOutPace = { intervalMs: 0, monotonic: () => 0, pause: async () => undefined }

/**
 * Tells every projection's queue how far the log has got. For each projection, at most one message is in progress, and
 * messages are sent no faster than the pace allows. Appends that are stored meanwhile join the next message, so that
 * under load one message stands for many events. Each message costs two fsyncs of the queue and a transaction of the
 * view: without a pace, messages would take disk and processor time away from the commands. After a quiet time the
 * first append is reported at once. A message that fails is not sent again: the next append's message, or the
 * projection's own sweep, makes up for it.
 */
export class FanOut {
  readonly #lanes: Lane[]
  readonly #enqueue: Enqueue
  readonly #log: Logger
  readonly #pace: FanOutPace

  constructor(targets: readonly FanOutTarget[], enqueue: Enqueue, log: Logger, pace = UNPACED) {
    this.#lanes = targets.map((target) => ({
      target,
      failures: 0,
      told: 0,
      wanted: 0,
      traceparent: undefined,
      sentAt: Number.NEGATIVE_INFINITY,
      underWay: undefined,
    }))
    this.#enqueue = enqueue
    this.#log = log
    this.#pace = pace
  }

  /** Notes that the log is stored up to `position`, by a command with this W3C trace context. Returns at once. */
  appended(position: Position, traceparent?: string): void {
    for (const lane of this.#lanes) {
      lane.wanted = Math.max(lane.wanted, position)
      lane.traceparent ??= traceparent
      if (lane.wanted > lane.told) lane.underWay ??= this.#drain(lane)
    }
  }

  /** Resolves when no message is in progress. */
  async idle(): Promise<void> {
    await Promise.all(this.#lanes.map(({ underWay }) => underWay))
  }

  async #drain(lane: Lane): Promise<void> {
    const { intervalMs, monotonic, pause } = this.#pace
    while (lane.wanted > lane.told) {
      const wait = lane.sentAt + intervalMs - monotonic()
      if (wait > 0) await pause(wait)
      lane.sentAt = monotonic()
      const { traceparent } = lane
      lane.traceparent = undefined
      const message = { projection: lane.target.projection, from: lane.told + 1, to: lane.wanted }
      try {
        const taken = this.#enqueue(lane.target, message, traceparent)
        reachedNextTurn('enqueue-sent', message.projection)
        await taken
        reached('enqueue-answered', message.projection)
        this.#report(lane, undefined)
      } catch (error) {
        this.#report(lane, error)
      }
      lane.told = message.to
    }
    lane.underWay = undefined
  }

  /** Logs when a queue stops accepting messages and when it accepts them again, not every failure. */
  #report(lane: Lane, error: unknown): void {
    const { queue } = lane.target
    if (error === undefined) {
      if (lane.failures > 0)
        this.#log.info({ queue, failures: lane.failures }, 'the queue accepts messages again')
      lane.failures = 0
      return
    }
    if (lane.failures === 0) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#log.warn(
        { queue, reason },
        'the queue does not accept messages; until it does, its projection finds new events with its sweep',
      )
    }
    lane.failures += 1
  }
}

interface Lane {
  /** Messages that failed one after the other, so far. */
  failures: number
  readonly target: FanOutTarget
  /** Last position that a message was sent for. */
  told: Position
  /** Last position that a message has to be sent for. */
  wanted: Position
  /** The trace context of the first append that the next message stands for. */
  traceparent: string | undefined
  /** When the last message was sent, on the monotonic clock. */
  sentAt: number
  underWay: Promise<void> | undefined
}
