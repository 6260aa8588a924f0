import { Command } from 'commander'
import type { CliContext } from './context.ts'

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
    .action(async () => {
      const { runEngine } = await import('../../supervisor/engine-process.ts')
      await runEngine({ config: context.config(), log: context.logger('engine'), host: context.process })
    })
}
