import { join } from 'node:path'
import type { Partition } from '../kernel/partition.ts'

/** Where the stores lie in the data folder; one file per writer, so that no two processes fight for a lock. */
export interface DataPaths {
  /** The event log. */
  readonly events: string
  /** Folded streams; a cache. */
  readonly snapshots: string
  /** The durable queue. */
  readonly queue: string
  /** Which generation of each view is active, and what is wished. */
  readonly control: string
  /** State of the embedded engine. */
  readonly state: string
  /** Folder of the views. */
  readonly views: string
  /** What Node has compiled, for the next start; a cache. */
  readonly compileCache: string
  /** Held by `cqrs up`. */
  readonly upLock: string
  /** What operators did. */
  readonly actions: string
  /** The token of operators. */
  readonly opsToken: string
  /** The token of those who only look. */
  readonly opsReadToken: string
  /** Empty; opened to find out whether anything can be written. */
  readonly writeProbe: string
  /** What workers show to the embedded engine where it is open to other machines. */
  readonly workerSecret: string
}

/** The layout of a data folder. */
export function dataPaths(data: string): DataPaths {
  return {
    events: join(data, 'events.db'),
    snapshots: join(data, 'snapshots.db'),
    queue: join(data, 'queue.db'),
    control: join(data, 'control.db'),
    state: join(data, 'state.db'),
    views: join(data, 'views'),
    compileCache: join(data, 'compiled'),
    upLock: join(data, 'up.lock'),
    actions: join(data, 'operator.db'),
    opsToken: join(data, 'ops.token'),
    opsReadToken: join(data, 'ops-read.token'),
    writeProbe: join(data, 'write.probe'),
    workerSecret: join(data, 'worker.secret'),
  }
}

/** Held by the one process of a data folder that is at work in a role; others stand by. */
export function roleLock(data: string, role: string): string {
  return join(data, `${role}.lock`)
}

/** The generation that every view begins with. */
const FIRST_GENERATION = 1

const WHOLE: Partition = { index: 0, count: 1 }

/** The file of one generation of one view, or of one partition of it. */
export function viewPath(
  data: string,
  projection: string,
  { generation = FIRST_GENERATION, partition = WHOLE }: { generation?: number; partition?: Partition } = {},
): string {
  const { index, count } = partition
  const part = count === 1 ? '' : `.${index}of${count}`
  return join(dataPaths(data).views, `${projection}.${generation}${part}.db`)
}
