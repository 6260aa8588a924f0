import { Command } from 'commander'
import type { Action } from '../action-store.ts'
import { RECORDED } from '../recorded.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { type Column, layOut, oneLine } from './table.ts'
import { oneOf, wholeNumber } from './values.ts'

/** `cqrs actions`. */
export function actionsCommand(context: CliContext): Command {
  return new Command('actions')
    .description('Show what operators did: who, what, when, from where, and how it ended.')
    .option('-n, --limit <actions>', 'show at most this many, newest first', wholeNumber(1, 500), 20)
    .option(
      '--before <id>',
      'only actions older than the one with this id',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--operation <id>', 'only this operation, e.g. ops::dlq-discard', oneOf(RECORDED))
    .option('--json', 'print the page as JSON')
    .addHelpText(
      'after',
      `
An action is recorded before it begins. If it stays "begun", it is still running, its process was killed, or its end could
not be stored; check whether the change was made.

Examples:
  cqrs actions
  cqrs actions --operation ops::dlq-discard --json`,
    )
    .action(async (options: { limit: number; before?: number; operation?: string; json?: boolean }) => {
      const { json, ...input } = options
      const page = await withOperations(context, (call) => call('ops::actions', input))
      if (json) return context.print(JSON.stringify(page, null, 2))
      if (page.actions.length === 0) return context.print('There are none.')
      for (const line of renderActions(page.actions, context.width)) context.print(line)
      if (page.next !== null) context.print(`\nOlder ones: --before ${page.next}`)
    })
}

/** Actions as text for people, line by line. */
export function renderActions(actions: readonly Action[], width: number): string[] {
  return layOut(COLUMNS, actions, width)
}

const COLUMNS: readonly Column<Action>[] = [
  { title: 'ID', align: 'right', cell: ({ id }) => String(id) },
  { title: 'BEGUN AT', cell: ({ begunAt }) => begunAt },
  { title: 'OUTCOME', cell: ({ outcome }) => outcome },
  { title: 'OPERATION', cell: ({ operation }) => operation },
  { title: 'BY', shortens: true, cell: ({ by }) => oneLine(by) },
  { title: 'FROM', shortens: true, cell: ({ from }) => oneLine(from) },
  { title: 'INPUT', shortens: true, cell: ({ input }) => oneLine(JSON.stringify(input)) },
  { title: 'RESULT', shortens: true, cell: ({ result }) => oneLine(JSON.stringify(result)) },
]
