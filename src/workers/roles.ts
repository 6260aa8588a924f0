import { startCommands } from './commands.ts'
import { startOperator } from './operator.ts'
import { startProjections } from './projections.ts'
import { startQueries } from './queries.ts'
import { startQueue } from './queue.ts'
import type { RoleName, StartRole } from './role.ts'
import { withStandby } from './standby.ts'

/** How each role starts. The queue has a lock of its own, with its store. */
export const STARTERS: Readonly<Record<RoleName, StartRole>> = {
  queue: startQueue,
  commands: withStandby('commands', startCommands),
  projections: withStandby('projections', startProjections),
  queries: withStandby('queries', startQueries),
  operator: withStandby('operator', startOperator),
}
