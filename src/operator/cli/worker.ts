import { Command } from 'commander'
import { ROLES, type RoleName } from '../../workers/role.ts'
import type { CliContext } from './context.ts'
import { runService, warnOfUnknownVariables } from './service.ts'
import { someOf } from './values.ts'

/** `cqrs worker <role…>`. */
export function workerCommand(context: CliContext): Command {
  return new Command('worker')
    .description('Run one or several roles in this process, connected to an engine.')
    .argument('<role...>', `the roles of the process: ${ROLES.join(', ')}`, someOf(ROLES))
    .addHelpText(
      'after',
      `
Connects to III_URL, or to the engine of the configuration, and waits until it can be reached. On SIGTERM it finishes what is
under way, then ends.

Examples:
  cqrs worker commands queries
  III_URL=ws://engine:49134 cqrs worker projections`,
    )
    .action((roles: RoleName[]) =>
      runService(context, roles.join('+'), async (log) => {
        // A supervisor has printed this warning already.
        if (!context.process.send) warnOfUnknownVariables(context, log)
        const config = context.config()
        if (!context.process.send) {
          const { migrateFirst } = await import('../../supervisor/migrate-stores.ts')
          const { loadAppWithCode } = await import('../../workers/code-of-app.ts')
          const { app } = await loadAppWithCode(config.app)
          await migrateFirst({ data: config.data, app })
        }
        const { runWorker } = await import('../../supervisor/worker-process.ts')
        const { STARTERS } = await import('../../workers/starters.ts')
        await runWorker({ roles, config, starters: STARTERS, log, host: context.process })
        return undefined
      }),
    )
}
