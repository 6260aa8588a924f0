import { Command, InvalidArgumentError } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { DlqRedriveInput, Letter, LetterDetails, LetterSource } from '../contract.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { type Column, count, cut, layOut, printable } from './table.ts'
import { oneOf, wholeNumber } from './values.ts'

/** `cqrs dlq`: dead letters of the queue and parked events of projections, in one list. */
export function dlqCommand(context: CliContext): Command {
  return new Command('dlq')
    .description('Look at what failed too often, and try it again or give it up.')
    .addHelpText(
      'after',
      `
A letter is a message that a queue gave up (queue:<queue>:<id>), or an event that a projection cannot apply and that
holds back the rest of its sequence (parked:<projection>:<position>).`,
    )
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(redriveCommand(context))
    .addCommand(discardCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('List dead letters and parked events.')
    .option('--source <source>', 'only those of the queue, or only parked ones', oneOf(['queue', 'parked']))
    .option('--name <name>', 'only those of this queue or projection')
    .option('-n, --limit <letters>', 'letters on a page', wholeNumber(1, 500), 50)
    .option('--cursor <cursor>', 'go on where the page before ended')
    .option('--json', 'print the page as JSON')
    .addHelpText('after', '\nExamples:\n  cqrs dlq list\n  cqrs dlq list --source parked --json')
    .action(
      async (options: {
        source?: LetterSource
        name?: string
        limit: number
        cursor?: string
        json?: boolean
      }) => {
        const { json, ...input } = options
        const page = await withOperations(context, (call) => call('dlqList', input))
        if (json) return context.print(JSON.stringify(page, null, 2))
        if (page.letters.length === 0) return context.print('There are none.')
        for (const line of layOut(COLUMNS, page.letters)) context.print(line)
        if (page.next) context.print(`\nThere are more: add --cursor ${page.next}`)
      },
    )
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('Show everything about one letter: payload, attempts, errors.')
    .argument('<id>', 'the letter', letterId)
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExample:\n  cqrs dlq show parked:inventory-list:42')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const letter = await withOperations(context, (call) => call('dlqShow', { id }))
      if (json) context.print(JSON.stringify(letter, null, 2))
      else for (const line of renderLetter(letter)) context.print(line)
    })
}

function redriveCommand(context: CliContext): Command {
  return new Command('redrive')
    .description('Try letters again, in their original order.')
    .argument('[id]', 'the letter', letterId)
    .option('--name <name>', 'all of this queue or projection')
    .option('--all', 'all there are')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cqrs dlq redrive queue:inventory-list:7\n  cqrs dlq redrive --name inventory-list\n  cqrs dlq redrive --all',
    )
    .action(
      async (
        id: string | undefined,
        options: { name?: string; all?: boolean; json?: boolean },
        command: Command,
      ) => {
        const inputs: DlqRedriveInput[] = [
          ...(id === undefined ? [] : [{ id }]),
          ...(options.name === undefined ? [] : [{ name: options.name }]),
          ...(options.all ? [{ all: true as const }] : []),
        ]
        const [input] = inputs
        if (!input || inputs.length > 1)
          return command.error('error: give one of <id>, --name <name> and --all')
        const result = await withOperations(context, (call) => call('dlqRedrive', input))
        if (options.json) context.print(JSON.stringify(result, null, 2))
        else context.print(`${count(result.redriven)} redriven.`)
        for (const { id: failedId, error } of result.failed ?? [])
          context.warn(`${failedId}: ${printable(error)}`)
        if (result.failed?.length) context.exit(EXIT.failed.code)
      },
    )
}

function discardCommand(context: CliContext): Command {
  return new Command('discard')
    .description('Give a letter up for good; what waits behind it goes on.')
    .argument('<id>', 'the letter', letterId)
    .requiredOption('--reason <text>', 'why; kept for whoever asks later')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  cqrs dlq discard parked:inventory-list:42 --reason "item was a test"',
    )
    .action(async (id: string, { reason, json }: { reason: string; json?: boolean }) => {
      const result = await withOperations(context, (call) => call('dlqDiscard', { id, reason }))
      context.print(json ? JSON.stringify(result, null, 2) : `${count(result.discarded)} discarded.`)
    })
}

const COLUMNS: readonly Column<Letter>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'SOURCE', cell: ({ source }) => source },
  { title: 'WHAT', cell: ({ what }) => cut(what, 50) },
  { title: 'ATTEMPTS', align: 'right', cell: ({ attempts }) => count(attempts) },
  {
    title: 'BEHIND IT',
    align: 'right',
    cell: ({ waiting }) => (waiting === undefined ? '-' : count(waiting)),
  },
  { title: 'FAILED AT', cell: ({ failedAt }) => failedAt },
  { title: 'ERROR', cell: ({ error }) => cut(error, 80) },
]

/** A letter for people, line by line. */
export function renderLetter(letter: LetterDetails): string[] {
  const { id, what, attempts, failedAt, error, waiting, payload, history } = letter
  return [
    `${id}: ${printable(what)}`,
    `Failed ${failedAt} after ${count(attempts)} attempts: ${printable(error)}`,
    ...(waiting ? [`${count(waiting)} further events wait behind it.`] : []),
    '',
    printable(JSON.stringify(payload, null, 2)),
    ...history.flatMap(({ at, message, stack }) => ['', `${at}  ${printable(stack ?? message)}`]),
  ]
}

function letterId(text: string): string {
  if (/^(queue|parked):[^:]+:.+$/s.test(text)) return text
  throw new InvalidArgumentError(
    'A letter is named like queue:<queue>:<id> or parked:<projection>:<position>.',
  )
}
