import { Command } from 'commander'
import type { CliContext } from './context.ts'
import { runService, warnOfUnknownVariables } from './service.ts'

/** `cqrs engine`. */
export function engineCommand(context: CliContext): Command {
  return new Command('engine')
    .description('Run the embedded engine alone; workers connect to it from elsewhere.')
    .addHelpText(
      'after',
      `
Examples:
  cqrs engine
  III_HOST=0.0.0.0 III_PORT=49200 cqrs engine`,
    )
    .action(() =>
      runService(context, 'engine', async (log) => {
        if (!context.process.send) warnOfUnknownVariables(context, log)
        const { runEngine } = await import('../../supervisor/engine-process.ts')
        await runEngine({ config: context.config(), log, host: context.process })
        return undefined
      }),
    )
}
