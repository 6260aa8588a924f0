import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Partition } from '../kernel/partition.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog, LogPage, ReadOptions } from '../log/contract.ts'
import { extendDigest } from '../projection/digest.ts'

/** What the thread is to check. */
export interface CheckOrder {
  /** The file of the log. */
  readonly log: string
  readonly types: readonly string[]
  readonly partition: Partition
  readonly batchSize: number
  /** Where the build stands. */
  readonly position: Position
  readonly digest: string
  /** Shared: {@link TAKEN} and {@link GIVEN}. */
  readonly signals: SharedArrayBuffer
  readonly port: MessagePort
}

/** How many runs the build has taken. */
export const TAKEN = 0

/** How many messages the thread has given. */
export const GIVEN = 1

/** Runs that the thread may be ahead. */
export const AHEAD = 200

/** How long the build waits for the thread before it looks whether that still lives, in milliseconds. */
const PATIENCE_MS = 2_000

/** A run of the log whose rows are what was written; `end` is the last message. */
export interface CheckedRun {
  readonly after: Position
  readonly through: Position
  /** The digest before and behind it. */
  readonly before: string
  readonly digest: string
}

/** Reads the log for a build, while a thread checks it and extends the digest ahead of that. */
export interface CheckedLog {
  readFrom(after: Position, options: ReadOptions): Promise<LogPage>
  digestAfter(digest: string, page: LogPage): string
  close(): Promise<void>
}

/** Starts the thread; the build reads through what is returned. */
export function checkAhead(log: EventLog, order: Omit<CheckOrder, 'signals' | 'port'>): CheckedLog {
  const { port1, port2 } = new MessageChannel()
  const signals = new SharedArrayBuffer(8)
  const worker = new Worker(new URL('./check-thread.ts', import.meta.url), {
    workerData: { ...order, signals, port: port2 } satisfies CheckOrder,
    transferList: [port2],
  })
  // Should it fail, the build goes on by itself.
  worker.on('error', () => undefined)
  const counts = new Int32Array(signals)
  let given = 0
  let next: CheckedRun | undefined
  let last: CheckedRun | undefined
  let ended = false

  /** The next run; undefined when there are no more. Blocks, for the thread needs nothing of this one. */
  const receive = (): CheckedRun | undefined => {
    while (!ended) {
      const received = receiveMessageOnPort(port1)
      if (received?.message === 'end') ended = true
      else if (received) return received.message as CheckedRun
      else if (Atomics.wait(counts, GIVEN, given, PATIENCE_MS) === 'timed-out') ended = true
      given = Atomics.load(counts, GIVEN)
    }
    return undefined
  }
  const take = () => {
    last = next
    next = undefined
    Atomics.add(counts, TAKEN, 1)
    Atomics.notify(counts, TAKEN)
  }
  return {
    async readFrom(after, options) {
      next ??= receive()
      while (next && next.through <= after) {
        take()
        next = receive()
      }
      if (next?.after !== after || next.through > after + options.limit) return log.readFrom(after, options)
      const limit = next.through - after
      take()
      return log.readFrom(after, { ...options, limit, vouched: true })
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
