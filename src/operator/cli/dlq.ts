import { Command, InvalidArgumentError } from 'commander'
import type { Letter, LetterDetails, LetterSource, RedriveRequest } from '../contract.ts'
import { parseLetterId } from '../letter-id.ts'
import type { CliContext } from './context.ts'
import { fingerprintOption, groupsCommand } from './dlq-groups.ts'
import { withOperations } from './operations.ts'
import { type Column, count, cut, layOut, printable } from './table.ts'
import { oneOf, wholeNumber } from './values.ts'

/** `cqrs dlq`: dead letters of the queue, parked events and dead effects, in one list. */
export function dlqCommand(context: CliContext): Command {
  return new Command('dlq')
    .description('Look at what failed too often, and try it again or give it up.')
    .addHelpText(
      'after',
      `
A letter is a message that a queue gave up (queue:<queue>:<id>), or an event that a projection cannot apply and that
holds back the rest of its sequence (parked:<projection>:<position>), and an effect that its
taker refused too often (effect:<reactor>:<position>.<n>).`,
    )
    .addCommand(listCommand(context))
    .addCommand(groupsCommand(context))
    .addCommand(showCommand(context))
    .addCommand(redriveCommand(context))
    .addCommand(discardCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('List dead letters, parked events and dead effects.')
    .option(
      '--source <source>',
      'only those of one source: queue, parked or effect',
      oneOf(['queue', 'parked', 'effect']),
    )
    .option('--name <name>', 'only those of this queue or projection')
    .option('-n, --limit <letters>', 'letters of each queue and projection', wholeNumber(1, 500), 50)
    .option('--json', 'print the page as JSON')
    .addHelpText('after', '\nExamples:\n  cqrs dlq list\n  cqrs dlq list --source parked --json')
    .action(async (options: { source?: LetterSource; name?: string; limit: number; json?: boolean }) => {
      const { json, ...input } = options
      const page = await withOperations(context, (call) => call('ops::dlq-list', input))
      if (json) return context.print(JSON.stringify(page, null, 2))
      sayUnavailable(context, page.unavailable)
      if (page.letters.length === 0) return context.print('There are none.')
      for (const line of layOut(COLUMNS, page.letters)) context.print(line)
      if (page.more)
        context.print('\nThere are more: raise --limit, or choose a queue or projection with --name.')
    })
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('Show everything about one letter: payload, attempts, errors.')
    .argument('<id>', 'the letter', letterId)
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExample:\n  cqrs dlq show parked:inventory-list:42')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const letter = await withOperations(context, (call) => call('ops::dlq-show', { id }))
      if (json) context.print(JSON.stringify(letter, null, 2))
      else for (const line of renderLetter(letter)) context.print(line)
    })
}

function redriveCommand(context: CliContext): Command {
  return new Command('redrive')
    .description('Try letters again, in their original order.')
    .argument('[id]', 'the letter', letterId)
    .option('--group <group>', 'all of this group of "cqrs dlq groups"', fingerprintOption)
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
        options: { group?: string; name?: string; all?: boolean; json?: boolean },
        command: Command,
      ) => {
        const inputs: RedriveRequest[] = [
          ...(id === undefined ? [] : [{ id }]),
          ...(options.group === undefined ? [] : [{ fingerprint: options.group }]),
          ...(options.name === undefined ? [] : [{ name: options.name }]),
          ...(options.all ? [{ all: true as const }] : []),
        ]
        const [input] = inputs
        if (!input || inputs.length > 1)
          return command.error('error: give one of <id>, --group <group>, --name <name> and --all')
        const result = await withOperations(context, (call) => call('ops::dlq-redrive', input))
        if (options.json) context.print(JSON.stringify(result, null, 2))
        else {
          sayUnavailable(context, result.unavailable)
          context.print(`${count(result.redriven)} redriven.`)
        }
      },
    )
}

function discardCommand(context: CliContext): Command {
  return new Command('discard')
    .description('Give letters up for good; what waits behind them goes on.')
    .argument('[id]', 'the letter', letterId)
    .option('--group <group>', 'all of this group of "cqrs dlq groups"', fingerprintOption)
    .requiredOption('--reason <text>', 'why; it goes to the log, and for a parked event into the view')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  cqrs dlq discard parked:inventory-list:42 --reason "item was a test"',
    )
    .action(async (id: string | undefined, options: DiscardOptions, command: Command) => {
      const { reason, json, group } = options
      if ((id === undefined) === (group === undefined))
        return command.error('error: give one of <id> and --group <group>')
      const which = id === undefined ? { fingerprint: String(group) } : { id }
      const result = await withOperations(context, (call) =>
        call('ops::dlq-discard', { ...which, reason, by: context.process.env.USER }),
      )
      if (json) return context.print(JSON.stringify(result, null, 2))
      sayUnavailable(context, result.unavailable)
      context.print(`${count(result.discarded)} discarded.`)
    })
}

interface DiscardOptions {
  readonly reason: string
  readonly group?: string
  readonly json?: boolean
}

const COLUMNS: readonly Column<Letter>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'SOURCE', cell: ({ source }) => source },
  { title: 'STATUS', cell: ({ status }) => status },
  { title: 'WHAT', cell: ({ what }) => cut(what, 50) },
  { title: 'ATTEMPTS', align: 'right', cell: ({ attempts }) => count(attempts) },
  {
    title: 'BEHIND IT',
    align: 'right',
    cell: ({ waiting }) => count(waiting),
  },
  { title: 'FAILED AT', cell: ({ failedAt }) => failedAt },
  { title: 'ERROR', cell: ({ error }) => cut(error, 80) },
]

/** A letter for people, line by line. */
export function renderLetter(letter: LetterDetails): string[] {
  const { id, what, status, attempts, failedAt, error, waiting, behind, content, failures } = letter
  const further = waiting > behind.length ? ' and further ones' : ''
  return [
    `${id}: ${printable(what)}`,
    `${status} since ${failedAt} after ${count(attempts)} attempts: ${printable(error)}`,
    ...(waiting > 0 ? [`${count(waiting)} wait behind it: ${behind.join(', ')}${further}`] : []),
    '',
    'Content',
    printable(JSON.stringify(content, null, 2)),
    '',
    'Failures, oldest first',
    ...(Array.isArray(failures) ? failures : [failures]).map(renderFailure),
  ]
}

/** A failed attempt, with its time: a projection notes a message with its stack, a queue an error. */
function renderFailure(failure: unknown): string {
  const { at, message, stack, error } = (failure ?? {}) as Record<string, string | number | undefined>
  const text = stack ?? message ?? error
  if (at === undefined || text === undefined) return `  ${printable(JSON.stringify(failure))}`
  const time = typeof at === 'number' ? new Date(at).toISOString() : at
  return `  ${time}  ${printable(String(text))}`
}

const HOLDERS: Readonly<Record<LetterSource, string>> = {
  queue: 'The queue worker does not answer: dead letters of queues are left out.',
  parked: 'The projections worker does not answer: parked events are left out.',
  effect: 'The projections worker does not answer: dead effects are left out.',
}

function sayUnavailable(context: CliContext, sources: readonly LetterSource[] = []): void {
  for (const source of sources) context.print(HOLDERS[source])
}

function letterId(text: string): string {
  try {
    parseLetterId(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
