import { Command, InvalidArgumentError } from 'commander'
import { type GroupsRequest, LETTER_SOURCES, type LetterGroup } from '../contract.ts'
import type { CliContext } from './context.ts'
import { sayLeftOut } from './left-out.ts'
import { withOperations } from './operations.ts'
import { type Column, count, layOut, oneLine } from './table.ts'
import { oneOf } from './values.ts'

/** `cqrs dlq groups`. */
export function groupsCommand(context: CliContext): Command {
  return withPlace(new Command('groups'))
    .description('Group letters by what failed and how.')
    .option('--json', 'print the groups as JSON')
    .addHelpText(
      'after',
      `
Letters belong to the same group if they have the same queue or projection and the same event type, function or target, and
their errors differ only in numbers, ids, times and quoted texts. If a source has very many letters, the
first 5,000 to 10,000 of them are examined.

Examples:
  cqrs dlq groups
  cqrs dlq redrive --group 4f1a09c2b7de
  cqrs dlq discard --group 4f1a09c2b7de --reason "items of a test"`,
    )
    .action(async ({ json, ...input }: GroupsRequest & { json?: boolean }) => {
      const page = await withOperations(context, (call) => call('ops::dlq-groups', input))
      if (json) return context.print(JSON.stringify(page, null, 2))
      sayLeftOut(context, page.incomplete)
      if (page.groups.length === 0) {
        return context.print(
          page.unavailable.length === 0 ? 'There are none.' : 'None among the letters that could be read.',
        )
      }
      for (const line of layOut(COLUMNS, page.groups, context.width)) context.print(line)
      if (page.more)
        context.print('\nThere are more letters than were examined: narrow them down with --name.')
    })
}

/** Adds the options that say where letters are. */
export function withPlace(command: Command): Command {
  return command
    .option(
      '--source <source>',
      'only letters from this source: queue, parked or effect',
      oneOf(LETTER_SOURCES),
    )
    .option('--name <name>', 'only letters of this queue or projection')
}

/** The argument of `--group`. */
export function fingerprintOption(text: string): string {
  if (/^[0-9a-f]{12}$/.test(text)) return text
  throw new InvalidArgumentError('A group is 12 hexadecimal digits; "cqrs dlq groups" lists the groups.')
}

const COLUMNS: readonly Column<LetterGroup>[] = [
  { title: 'GROUP', cell: ({ fingerprint }) => fingerprint },
  { title: 'SOURCE', cell: ({ source }) => source },
  { title: 'NAME', shortens: true, cell: ({ names }) => oneLine(names.join(', ')) },
  { title: 'LETTERS', align: 'right', cell: (group) => count(group.count) },
  { title: 'DEAD', align: 'right', cell: ({ dead }) => count(dead) },
  { title: 'BEHIND', align: 'right', cell: ({ waiting }) => count(waiting) },
  { title: 'FIRST', cell: ({ firstFailedAt }) => firstFailedAt },
  { title: 'LAST', cell: ({ lastFailedAt }) => lastFailedAt },
  { title: 'EXAMPLE', cell: ({ example }) => example },
  { title: 'ERROR', shortens: true, cell: ({ error }) => oneLine(error) },
]
