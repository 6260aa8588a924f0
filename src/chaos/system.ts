import type { App } from '../kernel/app.ts'
import type { SmallDisk } from './disk.ts'
import type { FaultKind, Victim } from './schedule.ts'
import type { TcpProxy } from './tcp-proxy.ts'

/** A system on which a storm inflicts faults, whoever started it. */
export interface StormSystem {
  readonly kind: 'temporary' | 'running'
  readonly app: App
  /** The data folder. */
  readonly data: string
  /** Where HTTP is served; undefined if it is switched off. */
  readonly http: string | undefined
  /** Kinds of fault that are impossible here, and why. */
  readonly impossible: ReadonlyMap<FaultKind, string>
  /** A time longer than the timeouts by which the system notices that something hangs, in milliseconds. */
  readonly longMs: number
  /** The running processes of a victim. */
  pidsOf(victim: Victim): readonly number[]
  /** The proxies between a worker and the engine, one per process; none if there are no proxies. */
  linksOf(victim: Victim): readonly TcpProxy[]
  /** The disk of the data folder, if it can be filled. */
  readonly disk: SmallDisk | undefined
  /** Aborted when the system has ended and the storm did not end it; the reason is an Error that says how. */
  readonly ended: AbortSignal
  /**
   * Says that the storm is about to kill the supervisor. Its end does not count as `ended` until it is started again.
   */
  expectEnd(): void
  /** Starts the killed supervisor again. Rejects if the system was not started for the storm. */
  restart(): Promise<void>
}
