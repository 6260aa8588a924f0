import { join } from 'node:path'
import type { Partition } from '../kernel/partition.ts'

/**
 * The paths of the stores in the data folder. There is one file per writer, so that no two processes compete for a
 * lock.
 */
export interface DataPaths {
  /** The event log. */
  readonly events: string
  /** Snapshots of folded streams; a cache. */
  readonly snapshots: string
  /** The durable queue. */
  readonly queue: string
  /** Which generation of each view is active, and what was requested. */
  readonly control: string
  /** State of the embedded engine. */
  readonly state: string
  /** Folder of the views. */
  readonly views: string
  /** Code that Node has compiled, kept for the next start; a cache. */
  readonly compileCache: string
  /** Held by `cqrs up`. */
  readonly upLock: string
  /** Held by the process that brings stores of an older version up to date. */
  readonly migrateLock: string
  /** The record of what operators did. */
  readonly actions: string
  /** The token of operators. */
  readonly opsToken: string
  /** The token for read-only access. */
  readonly opsReadToken: string
  /** An empty file, opened to find out whether the folder can be written. */
  readonly writeProbe: string
  /** The secret that workers present to the embedded engine if other machines can reach it. */
  readonly workerSecret: string
  /** The id of the system on this folder. It is no secret. */
  readonly systemId: string
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
    migrateLock: join(data, 'migrate.lock'),
    actions: join(data, 'operator.db'),
    opsToken: join(data, 'ops.token'),
    opsReadToken: join(data, 'ops-read.token'),
    writeProbe: join(data, 'write.probe'),
    workerSecret: join(data, 'worker.secret'),
    systemId: join(data, 'system.id'),
  }
}

/** The lock of a role, held by the one process of a data folder that is active in that role; others stand by. */
export function roleLock(data: string, role: string): string {
  return join(data, `${role}.lock`)
}

/** The first generation of every view. */
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
