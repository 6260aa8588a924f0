import type { Logger } from 'pino'
import type { Clock } from './clock.ts'
import type { QueueStore } from './contract.ts'
import type { Holding } from './memory-pool.ts'
import type { WindowLimits } from './window.ts'

export interface DurableQueueOptions {
  store: QueueStore
  log: Logger
  /** Queues to define at the start, by name, with their settings as users write them. */
  queues?: Record<string, unknown>
  /** The longest data of one message, in characters of JSON. Default 1 Mi. */
  maxDataLength?: number
  /** How much of each queue is kept in memory; see {@link WindowLimits}. */
  limits?: Partial<WindowLimits>
  /** How much of all queues together is kept in memory; see {@link MemoryPool}. */
  memory?: Partial<Holding>
  /** How often a delivery is tried while its function is missing, in milliseconds. Default 1,000. */
  probeMs?: number
  /** How long to wait after a store error, in milliseconds. Default 1,000. */
  storeRetryMs?: number
  clock?: Clock
  /** Gives numbers from 0 up to, not including, 1. Default Math.random. */
  random?: () => number
}
