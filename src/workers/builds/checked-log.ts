import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Partition } from '../../kernel/partition.ts'
import type { Position } from '../../kernel/position.ts'
import type { EventLog, LogPage, ReadOptions } from '../../log/contract.ts'
import { type PackedEvents, unpackEvents } from '../../log/sqlite/packed-events.ts'
import { extendDigest } from '../../projection/digest.ts'

/** What the thread has to check. */
export interface CheckOrder {
  /** The file of the log. */
  readonly log: string
  readonly types: readonly string[]
  readonly partition: Partition
  readonly batchSize: number
  readonly batchBytes: number
  /** The position of the build. */
  readonly position: Position
  readonly digest: string
  /** Shared: {@link HELD} and {@link GIVEN}. */
  readonly signals: SharedArrayBuffer
  readonly port: MessagePort
}

/** Index of a counter: how much the thread has sent that the build has not taken yet, in KiB. */
export const HELD = 0

/** Index of a counter: how many messages the thread has sent. */
export const GIVEN = 1

/** How far the thread may be ahead of the build, in KiB; one run may exceed it. */
export const MAX_HELD_KIB = 16_384

/**
 * How long the build waits for a message of the thread by default, in milliseconds; after that it reads on without the
 * thread.
 */
const PATIENCE_MS = 2_000

/**
 * A stretch of the log whose rows were checked, with the events that the build wants. The last message is `end`
 * instead.
 */
export interface CheckedRun {
  readonly after: Position
  readonly through: Position
  /** The digests before and after the run. */
  readonly before: string
  readonly digest: string
  readonly events: PackedEvents
}

/** How much memory a run takes, in KiB. */
export function sizeOf({ events: { ids, streams, types, numbers, data, metadata } }: CheckedRun): number {
  return (
    [ids, streams, types, data, metadata].reduce((sum, { length }) => sum + length, numbers.byteLength) >> 10
  )
}

/** The log as a build reads it: from a thread that reads it ahead, checks it and extends the digest. */
export interface CheckedLog {
  readFrom(after: Position, options: ReadOptions): Promise<LogPage>
  digestAfter(digest: string, page: LogPage): string
  close(): Promise<void>
}

/** Starts the thread. The build reads the log through the returned object. */
export function checkAhead(
  log: EventLog,
  order: Omit<CheckOrder, 'signals' | 'port'>,
  patienceMs = PATIENCE_MS,
): CheckedLog {
  const { port1, port2 } = new MessageChannel()
  const signals = new SharedArrayBuffer(8)
  const worker = new Worker(new URL('./check-thread.ts', import.meta.url), {
    workerData: { ...order, signals, port: port2 } satisfies CheckOrder,
    transferList: [port2],
  })
  // If the thread fails, the build goes on by itself.
  worker.on('error', () => undefined)
  const counts = new Int32Array(signals)
  let given = 0
  let next: CheckedRun | undefined
  let last: CheckedRun | undefined
  let ended = false

  /**
   * The next run; undefined if there are no more. It blocks, which is safe because the other thread needs nothing from
   * this one.
   */
  const receive = (): CheckedRun | undefined => {
    while (!ended) {
      const received = receiveMessageOnPort(port1)
      if (received?.message === 'end') ended = true
      else if (received) return received.message as CheckedRun
      else if (Atomics.wait(counts, GIVEN, given, patienceMs) === 'timed-out') ended = true
      given = Atomics.load(counts, GIVEN)
    }
    return undefined
  }
  const take = (run: CheckedRun) => {
    last = run
    next = undefined
    Atomics.sub(counts, HELD, sizeOf(run))
    Atomics.notify(counts, HELD)
  }
  return {
    async readFrom(after, options) {
      next ??= receive()
      while (next && next.through <= after) {
        take(next)
        next = receive()
      }
      if (next?.after !== after || next.through > after + options.limit) {
        // A batch that was cut short ended in the middle of a run. Read only up to the beginning of the next run.
        const behind = next && next.after > after ? next.after - after : options.limit
        return log.readFrom(after, { ...options, limit: Math.min(options.limit, behind) })
      }
      const { through, events: packed } = next
      take(next)
      const events = unpackEvents(packed)
      return events ? { events, through, head: await log.head() } : log.readFrom(after, options)
    },
    digestAfter(digest, { events, through }) {
      return last?.through === through && last.before === digest ? last.digest : extendDigest(digest, events)
    },
    async close() {
      port1.close()
      await worker.terminate()
    },
  }
}
