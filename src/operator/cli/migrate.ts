import { Command } from 'commander'
import type { CliContext } from './context.ts'

/** `cqrs migrate`. */
export function migrateCommand(context: CliContext): Command {
  return new Command('migrate')
    .description(
      'Bring the stores of the data folder up to date after an upgrade, and make new indexes of large views.',
    )
    .addHelpText(
      'after',
      `
"cqrs up" and "cqrs worker" do this by themselves before they start; large stores can take minutes. No process of the older
version may run on the data folder: otherwise no store is changed. Take a backup first: the older version refuses what the
newer one has changed.`,
    )
    .action(async () => {
      const { migrateStores, outdatedStores } = await import('../../supervisor/migrate-stores.ts')
      const { loadApp } = await import('../../workers/load-app.ts')
      const config = context.config()
      const folder = { data: config.data, app: await loadApp(config.app) }
      if (outdatedStores(folder).length === 0)
        context.print(`No store in ${folder.data} has to be brought up to date.`)
      else await migrateStores(folder, context.print)
    })
}
