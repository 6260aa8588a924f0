import { Command } from 'commander'
import type { CliContext } from './context.ts'
import { runService, warnOfUnknownVariables } from './service.ts'

/** `cqrs up`. */
export function upCommand(context: CliContext): Command {
  return new Command('up')
    .description('Start the whole system: the engine and all workers, each in its own process.')
    .addHelpText(
      'after',
      `
Restarts any process that dies. Ctrl-C stops everything in order; a second Ctrl-C stops everything at once. If III_URL is set,
it connects to that engine and starts only the workers.

Examples:
  cqrs up
  CQRS_APP=./my-app.ts CQRS_DATA=/var/lib/my-app cqrs up
  III_URL=ws://engine:49134 cqrs up`,
    )
    .action(() =>
      runService(context, 'up', async (log) => {
        warnOfUnknownVariables(context, log)
        const { up } = await import('../../supervisor/up.ts')
        const { loadApp } = await import('../../workers/load-app.ts')
        const config = context.config()
        const app = await loadApp(config.app)
        return up({ app, config, log, host: context.process, print: context.print })
      }),
    )
}
