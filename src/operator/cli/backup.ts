import { Command } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { CliContext } from './context.ts'
import { bytes } from './progress-bar.ts'
import { count } from './table.ts'

/** `cqrs backup`. */
export function backupCommand(context: CliContext): Command {
  return new Command('backup')
    .description('Copy the stores of the data folder to a new folder, while the system runs or not.')
    .argument('<folder>', 'the folder to write; it must not exist')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
The folder is a data folder: to restore it, stop the system and put it in place of the other one. It appears only when
everything is in it and on the disk, and every event of its log was checked. Exit code 6: a view is damaged and was left out,
or something else is damaged and there is no backup.

Examples:
  cqrs backup /backups/$(date +%F)
  CQRS_DATA=/backups/2026-01-31 cqrs doctor --stores`,
    )
    .action(async (to: string, { json }: { json?: boolean }) => {
      const { backUp } = await import('../../backup/back-up.ts')
      const { data } = context.config()
      const backup = backUp({
        data,
        to,
        onStore({ store, bytes: size }) {
          if (!json) context.print(`${store}  ${bytes(size)}`)
        },
        onRestart() {
          context.warn('A generation of a view has changed meanwhile; the copy begins anew.')
        },
      })
      const { folder, stores, leftOut, head, isChecked } = backup
      for (const { store, error } of leftOut) {
        context.warn(`Left out: ${store}. ${error} Have it rebuilt, prune it, and take another backup.`)
      }
      if (leftOut.length > 0) context.exit(EXIT.store.code)
      if (json) return context.print(JSON.stringify(backup, null, 2))
      const size = bytes(stores.reduce((sum, each) => sum + each.bytes, 0))
      const checked = isChecked ? 'each of them checked' : 'not checked, since an older version wrote them'
      const events = head === null ? 'without a log' : `with ${count(head)} events, ${checked}`
      context.print(`${folder}: ${size}, ${events}.`)
    })
}
