import { startCommands } from './commands.ts'
import { startOperator } from './operator/operator.ts'
import { startProjections } from './projections/projections.ts'
import { startQueries } from './queries.ts'
import { startQueue } from './queue/queue.ts'
import type { RoleName, StartRole } from './role.ts'
import { withStandby } from './standby.ts'

/**
 * How each role starts. The queue's lock belongs to its store. Projections are shared among processes, each under its
 * own lock.
 */
export const STARTERS: Readonly<Record<RoleName, StartRole>> = {
  queue: startQueue,
  commands: withStandby('commands', startCommands),
  projections: startProjections,
  queries: withStandby('queries', startQueries),
  operator: withStandby('operator', startOperator),
}
