import type { App } from '../kernel/app.ts'
import type { SmallDisk } from './disk.ts'
import type { FaultKind, Victim } from './schedule.ts'
import type { TcpProxy } from './tcp-proxy.ts'

/** A system that a storm goes over, whoever started it. */
export interface StormSystem {
  readonly kind: 'temporary' | 'running'
  readonly app: App
  /** The data folder. */
  readonly data: string
  /** Where HTTP is served; undefined if it is switched off. */
  readonly http: string | undefined
  /** Kinds of fault that cannot be had here, and why. */
  readonly impossible: ReadonlyMap<FaultKind, string>
  /** A length beyond the timeouts by which it notices that something hangs, in milliseconds. */
  readonly longMs: number
  /** Processes of a victim that run now. */
  pidsOf(victim: Victim): readonly number[]
  /** What stands between a worker and the engine, one per process, if anything does. */
  linksOf(victim: Victim): readonly TcpProxy[]
  /** The disk of the data folder, if it can be filled. */
  readonly disk: SmallDisk | undefined
  /** Aborted when it has ended and the storm did not end it; the reason is an Error that says how. */
  readonly ended: AbortSignal
  /** The storm is about to kill the supervisor, whose end does not count until it is started again. */
  expectEnd(): void
  /** The supervisor was killed: starts it again, if it was started here. */
  restart(): Promise<void>
}
