import { startCommands } from './commands.ts'
import { startOperator } from './operator.ts'
import { startProjections } from './projections.ts'
import { startQueries } from './queries.ts'
import { startQueue } from './queue.ts'
import type { RoleName, StartRole } from './role.ts'

/** How each role starts. */
export const STARTERS: Readonly<Partial<Record<RoleName, StartRole>>> = {
  queue: startQueue,
  commands: startCommands,
  projections: startProjections,
  queries: startQueries,
  operator: startOperator,
}
