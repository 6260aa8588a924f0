import { Command, InvalidArgumentError } from 'commander'
import type { Letter, LetterDetails, LettersRequest } from '../contract.ts'
import { parseLetterId } from '../letters/letter-id.ts'
import type { CliContext } from './context.ts'
import { type BulkOptions, bulk, chosen, type FilterOptions, filterOf, withFilter } from './dlq-bulk.ts'
import { groupsCommand } from './dlq-groups.ts'
import { sayLeftOut } from './left-out.ts'
import { withOperations } from './operations.ts'
import { type Column, count, layOut, oneLine, printable } from './table.ts'
import { wholeNumber } from './values.ts'

/** `cqrs dlq`: dead letters of the queue, parked events and dead effects, in one list. */
export function dlqCommand(context: CliContext): Command {
  return new Command('dlq')
    .description('Show what failed (dead letters, parked events, dead effects), try it again, or give it up.')
    .addHelpText(
      'after',
      `
A letter is a message that a queue gave up on (queue:<queue>:<id>), an event that a projection cannot apply and that holds
back the rest of its sequence (parked:<projection>:<position>), or an effect that its receiver refused too often
(effect:<reactor>:<position>.<n>).`,
    )
    .addCommand(listCommand(context))
    .addCommand(groupsCommand(context))
    .addCommand(showCommand(context))
    .addCommand(redriveCommand(context))
    .addCommand(discardCommand(context))
}

function listCommand(context: CliContext): Command {
  return withFilter(new Command('list'))
    .description('List dead letters, parked events and dead effects.')
    .option('-n, --limit <letters>', 'letters per page', wholeNumber(1, 500), 50)
    .option('--after <next>', 'continue after a page, with the value that it printed')
    .option('--json', 'print the page as JSON')
    .addHelpText(
      'after',
      `
Examples:
  cqrs dlq list
  cqrs dlq list --source parked --error "no such shelf"
  cqrs dlq list --what inventory-item-sold --json`,
    )
    .action(async (options: FilterOptions & Pick<LettersRequest, 'limit' | 'after'> & { json?: boolean }) => {
      const { json, limit, after } = options
      const input: LettersRequest = { ...filterOf(options), limit, after }
      const page = await withOperations(context, (call) => call('ops::dlq-list', input))
      if (json) return context.print(JSON.stringify(page, null, 2))
      sayLeftOut(context, page.incomplete)
      if (page.letters.length > 0)
        for (const line of layOut(COLUMNS, page.letters, context.width)) context.print(line)
      else {
        const all = page.next === null && page.unavailable.length === 0
        context.print(all ? 'There are none.' : 'None among the letters examined so far.')
      }
      if (page.next !== null) context.print(`\nThere may be more: --after ${page.next}`)
    })
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('Show everything about one letter: payload, attempts, errors.')
    .argument('<id>', 'the id of the letter', letterId)
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExample:\n  cqrs dlq show parked:inventory-list:42')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const letter = await withOperations(context, (call) => call('ops::dlq-show', { id }))
      if (json) context.print(JSON.stringify(letter, null, 2))
      else for (const line of renderLetter(letter)) context.print(line)
    })
}

function redriveCommand(context: CliContext): Command {
  return withFilter(new Command('redrive'))
    .description('Try letters again, in their original order.')
    .argument('[id]', 'the id of the letter', letterId)
    .option('--all', 'all letters')
    .option('--dry-run', 'only count and show the letters; change nothing')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Messages and effects are put back and delivered later; a parked event is tried at once. Exit code 1: a parked event failed
again, or letters were left out, e.g. because a worker is away or does not answer. The command prints which, and why.

Examples:
  cqrs dlq redrive queue:inventory-list:7
  cqrs dlq redrive --error ECONNREFUSED --dry-run
  cqrs dlq redrive --name inventory-list
  cqrs dlq redrive --all`,
    )
    .action(async (id: string | undefined, options: BulkOptions, command: Command) => {
      const input = chosen(id, options, command)
      await bulk(context, options.json, 'redriven', (call, page) =>
        call('ops::dlq-redrive', { ...input, ...page }),
      )
    })
}

function discardCommand(context: CliContext): Command {
  return withFilter(new Command('discard'))
    .description('Give up letters for good; events that wait behind them go on.')
    .argument('[id]', 'the id of the letter', letterId)
    .requiredOption('--reason <text>', 'the reason; it is recorded, for a parked event also in the view')
    .option('--all', 'all letters')
    .option('--dry-run', 'only count and show the letters; change nothing')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Exit code 1: letters were left out, e.g. because a worker is away or does not answer. The command prints which, and why.

Examples:
  cqrs dlq discard parked:inventory-list:42 --reason "item was a test"
  cqrs dlq discard --what test-event --reason "a test" --dry-run`,
    )
    .action(async (id: string | undefined, options: BulkOptions & { reason: string }, command: Command) => {
      const input = { ...chosen(id, options, command), reason: options.reason }
      await bulk(context, options.json, 'discarded', (call, page) =>
        call('ops::dlq-discard', { ...input, ...page }),
      )
    })
}

const COLUMNS: readonly Column<Letter>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'SOURCE', cell: ({ source }) => source },
  { title: 'STATUS', cell: ({ status }) => status },
  { title: 'WHAT', shortens: true, cell: ({ what }) => oneLine(what) },
  { title: 'ATTEMPTS', align: 'right', cell: ({ attempts }) => count(attempts) },
  {
    title: 'BEHIND IT',
    align: 'right',
    cell: ({ waiting }) => count(waiting),
  },
  { title: 'FAILED AT', cell: ({ failedAt }) => failedAt },
  { title: 'ERROR', shortens: true, cell: ({ error }) => oneLine(error) },
]

/** A letter as text for people, line by line. */
export function renderLetter(letter: LetterDetails): string[] {
  const { id, what, status, attempts, failedAt, error, waiting, behind, content, failures } = letter
  const further = waiting > behind.length ? ' and more' : ''
  return [
    `${id}: ${printable(what)}`,
    status === 'waiting'
      ? `waiting since ${failedAt}: ${printable(error)}`
      : `${status} since ${failedAt} after ${count(attempts)} ${attempts === 1 ? 'attempt' : 'attempts'}: ${printable(error)}`,
    ...(waiting > 0
      ? [`${count(waiting)} ${waiting === 1 ? 'waits' : 'wait'} behind it: ${behind.join(', ')}${further}`]
      : []),
    '',
    'Content',
    printable(JSON.stringify(content, null, 2)),
    '',
    'Failures, oldest first',
    ...(Array.isArray(failures) ? failures : [failures]).map(renderFailure),
  ]
}

/** A failed attempt, with its time. A projection records a message and a stack, a queue records an error; effects record no time. */
function renderFailure(failure: unknown): string {
  const { at, message, stack, error } = (failure ?? {}) as Record<string, string | number | undefined>
  const text = stack ?? message ?? error
  if (text === undefined) return `  ${printable(JSON.stringify(failure))}`
  if (at === undefined) return `  ${printable(String(text))}`
  const time = typeof at === 'number' ? new Date(at).toISOString() : at
  return `  ${time}  ${printable(String(text))}`
}

function letterId(text: string): string {
  try {
    parseLetterId(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
