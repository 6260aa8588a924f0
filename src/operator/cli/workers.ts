import { Command } from 'commander'
import type { RoleStanding, WorkersAnswer } from '../contract.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { type Column, count, layOut, oneLine } from './table.ts'

type Row = WorkersAnswer['workers'][number] & RoleStanding

/** `cqrs workers`. */
export function workersCommand(context: CliContext): Command {
  return new Command('workers')
    .description(
      'Show the worker processes: their roles, whether they are at work or standing by, and what they own.',
    )
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', '\nExamples:\n  cqrs workers\n  cqrs workers --json')
    .action(async ({ json }: { json?: boolean }) => {
      const answer = await withOperations(context, (call) => call('ops::workers', {}))
      if (json) return context.print(JSON.stringify(answer, null, 2))
      const rows = answer.workers.flatMap((worker) => worker.roles.map((role) => ({ ...worker, ...role })))
      for (const line of layOut(COLUMNS, rows, context.width)) context.print(line)
      if (answer.silent > 0) context.print(`\n${count(answer.silent)} more did not answer in time.`)
    })
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'ROLE', cell: ({ role }) => role },
  { title: 'STATE', cell: ({ state }) => state },
  { title: 'PID', align: 'right', cell: ({ pid }) => String(pid) },
  { title: 'HOST', shortens: true, cell: ({ host }) => oneLine(host) },
  { title: 'UP', align: 'right', cell: ({ uptimeSeconds }) => `${count(uptimeSeconds)} s` },
  {
    title: 'MEMORY',
    align: 'right',
    cell: ({ memoryBytes }) => `${count(Math.round(memoryBytes / 1_048_576))} MiB`,
  },
  { title: 'OWNS', shortens: true, cell: ({ owns }) => oneLine(owns.join(', ')) },
]
