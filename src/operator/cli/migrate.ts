import { Command } from 'commander'
import type { CliContext } from './context.ts'

/** `cqrs migrate`. */
export function migrateCommand(context: CliContext): Command {
  return new Command('migrate')
    .description('Bring the stores of the data folder up to date after an upgrade of this software.')
    .addHelpText(
      'after',
      `
"cqrs up" and "cqrs worker" do this by themselves before they start; large stores can take minutes. No process of the older
version may run on the data folder. Take a backup first: there is no way back.`,
    )
    .action(async () => {
      const { migrateStores, olderStores } = await import('../../supervisor/older-stores.ts')
      const { data } = context.config()
      if (olderStores(data).length === 0) context.print(`Every store in ${data} is up to date.`)
      else await migrateStores(data, context.print)
    })
}
