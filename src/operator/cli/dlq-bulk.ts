import type { Command } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { BulkRequest, BulkStep, LettersFilter, RedriveRequest, RedriveResult } from '../contract.ts'
import type { CliContext } from './context.ts'
import { fingerprintOption, withPlace } from './dlq-groups.ts'
import { joinLeftOut, sayLeftOut } from './left-out.ts'
import { type CallOperation, withOperations } from './operations.ts'
import { count, cut, oneLine } from './table.ts'
import { oneOf } from './values.ts'

/** The options that select letters. */
export interface FilterOptions extends Omit<LettersFilter, 'fingerprint'> {
  readonly group?: string
}

/** The options of commands on several letters. */
export interface BulkOptions extends FilterOptions {
  readonly all?: true
  readonly dryRun?: true
  readonly json?: boolean
}

/** Adds the options that select letters. */
export function withFilter(command: Command): Command {
  return withPlace(command)
    .option(
      '--status <status>',
      'only letters with this status: dead or retrying',
      oneOf(['dead', 'retrying']),
    )
    .option('--what <text>', 'only letters with this text in WHAT: event type, sequence, function or target')
    .option('--error <text>', 'only letters with this text in their error')
    .option('--group <group>', 'only letters of this group; see "cqrs dlq groups"', fingerprintOption)
}

/** Turns the options into a filter. */
export function filterOf({ source, name, status, what, error, group }: FilterOptions): LettersFilter {
  return { source, name, status, what, error, fingerprint: group }
}

/** The letters that a command line selects; ends the program if it selects none or contradicts itself. */
export function chosen(id: string | undefined, options: BulkOptions, command: Command): RedriveRequest {
  const { all, dryRun } = options
  const filter = filterOf(options)
  const isFiltered = Object.values(filter).some((value) => value !== undefined)
  if ([id !== undefined, isFiltered, all === true].filter(Boolean).length !== 1) {
    return command.error('error: give exactly one of <id>, a filter such as --name or --group, or --all')
  }
  if (id === undefined) return { ...filter, ...(all && { all }), ...(dryRun && { dryRun }) }
  if (dryRun) return command.error('error: --dry-run is for several letters; "cqrs dlq show" shows one')
  return { id }
}

/** How many letters that failed again are named. */
const SHOWN = 20

type Done = 'redriven' | 'discarded'

/**
 * Calls an operation on letters repeatedly until none are left, and prints what was done. Sets exit code 1 if letters
 * failed again, or were left out because a worker or store could not be asked.
 */
export async function bulk(
  context: CliContext,
  json: boolean | undefined,
  done: Done,
  step: (
    call: CallOperation,
    page: Pick<BulkRequest, 'after' | 'asOf'>,
  ) => Promise<
    BulkStep & Pick<Partial<RedriveResult>, 'failed' | 'failures'> & { readonly [key in Done]?: number }
  >,
): Promise<void> {
  const total = await withOperations(context, async (call) => {
    let sum = await step(call, {})
    let last = sum
    while (typeof last.next === 'string') {
      last = await step(call, { after: last.next, ...(last.asOf && { asOf: last.asOf }) })
      sum = {
        ...sum,
        [done]: (sum[done] ?? 0) + (last[done] ?? 0),
        matched: (sum.matched ?? 0) + (last.matched ?? 0),
        unavailable: [...new Set([...(sum.unavailable ?? []), ...(last.unavailable ?? [])])],
        incomplete: joinLeftOut(sum.incomplete, last.incomplete),
        ...((sum.failed || last.failed) && {
          failed: (sum.failed ?? 0) + (last.failed ?? 0),
          failures: [...(sum.failures ?? []), ...(last.failures ?? [])].slice(0, SHOWN),
        }),
        next: null,
      }
    }
    return sum
  })
  if (total.incomplete?.length || total.failed) context.exit(EXIT.failed.code)
  if (json) return context.print(JSON.stringify(total, null, 2))
  sayLeftOut(context, total.incomplete)
  const { failed = 0, failures = [] } = total
  for (const { id, error } of failures) context.warn(`Failed again: ${id}  ${oneLine(error)}`)
  if (failed > failures.length) context.warn(`Failed again: ${count(failed - failures.length)} more`)
  if (!total.examples) {
    const again = failed > 0 ? `, ${count(failed)} tried and failed again` : ''
    return context.print(`${count(total[done] ?? 0)} ${done}${again}.`)
  }
  for (const { id, what, error } of total.examples)
    context.print(cut(`${id}  ${what}  ${error}`, context.width))
  context.print(`${count(total.matched ?? 0)} would be ${done}; nothing was done.`)
}
