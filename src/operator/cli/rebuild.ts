import { Command, InvalidArgumentError } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { GenerationDetails, RebuildRequest } from '../generations-contract.ts'
import { until } from '../request.ts'
import { nothingToProve } from './audit.ts'
import { differences, parkedIn } from './comparison.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { count } from './table.ts'
import { goesOn, watchGeneration } from './watch-generation.ts'

interface RebuildOptions {
  force?: boolean
  until?: number | string
  requireParity?: boolean
  detach?: boolean
  json?: boolean
}

/** `cqrs rebuild`. */
export function rebuildCommand(context: CliContext): Command {
  return new Command('rebuild')
    .description(
      'Build a new generation of a view from the log while the present one serves, then swap it in.',
    )
    .argument('<projection>', 'the name of the projection')
    .option('--force', 'cancel a rebuild that is under way, and start a new one')
    .option('--require-parity', 'swap only if every document is the same as before')
    .option(
      '--until <position|time>',
      'build a generation for inspection only, up to a position or a time (ISO 8601)',
      positionOrTime,
    )
    .option('--detach', 'do not wait until it is done')
    .option('--json', 'print the progress as JSON, one object per line')
    .addHelpText(
      'after',
      `
The present generation serves in the meantime and stays up to date. Parked events are tried again; effects are not sent
again. Ctrl-C ends only the watching, with exit code 130; "cqrs projections cancel" ends the rebuild. The previous generation
is kept for "cqrs rollback" until "cqrs prune" removes it.

Examples:
  cqrs rebuild inventory-list
  cqrs rebuild inventory-list --require-parity --detach
  cqrs rebuild inventory-list --until 2026-01-31T12:00:00Z   (or a position: --until 1)
  cqrs view get inventory-list mug-1 --generation 3`,
    )
    .action(async (projection: string, options: RebuildOptions) => {
      const { force, until, requireParity, detach, json } = options
      const request: RebuildRequest = {
        projection,
        ...(force && { force }),
        ...(requireParity && { requireParity }),
        ...(until !== undefined && { until }),
      }
      await withOperations(context, async (call) => {
        const started = await call('ops::rebuild', request)
        if (started.joined)
          context.warn(`A rebuild of ${projection} is already under way; this request joins it.`)
        if (detach) {
          context.print(
            json ? JSON.stringify(started) : `${projection}: generation ${started.generation} is being built`,
          )
          return
        }
        const watched = await watchGeneration(call, context, started, { json })
        if (watched.kind === 'interrupted') return goesOn(context, 'rebuild', projection)
        conclude(context, projection, watched.generation, json)
      })
    })
}

/** The argument of `--until`. */
function positionOrTime(text: string): number | string {
  const { data, error } = until().safeParse(text)
  if (data !== undefined) return data
  const { message = '' } = error?.issues[0] ?? {}
  throw new InvalidArgumentError(`${message.replace(/^g/, 'G')}.`)
}

/** `cqrs verify`. */
export function verifyCommand(context: CliContext): Command {
  return new Command('verify')
    .description('Fold a view again from the log and compare every document with the view that serves.')
    .argument('[projection]', 'the projection to verify; all if left out')
    .option('--json', 'print the progress as JSON, one object per line')
    .addHelpText(
      'after',
      `
Finds what "cqrs audit" cannot: a document that somebody edited, or a fold that gives something else than when its version was
built. No view is changed. The files built for the comparison are removed; its result stays in "cqrs projections", as a
generation in the state "verified", until the next verify of that view or "cqrs prune".

Exit code 0: every document is as the log says; 1: documents differ, the comparison failed, or the two could not be compared at
one position because many events arrived. In the last case, try again. 130: Ctrl-C ended the watching; nothing is known yet.

Examples:
  cqrs verify
  cqrs verify inventory-list --json`,
    )
    .action(async (projection: string | undefined, { json }: { json?: boolean }) => {
      await withOperations(context, async (call) => {
        const names =
          projection === undefined
            ? (await call('ops::projections', {})).projections.map(({ name }) => name)
            : [projection]
        if (names.length === 0) return nothingToProve(context)
        for (const name of names) {
          const started = await call('ops::verify', { projection: name })
          const watched = await watchGeneration(call, context, started, { json })
          if (watched.kind === 'interrupted') return goesOn(context, 'verify', name)
          conclude(context, name, watched.generation, json)
        }
        if (!json)
          context.print(
            '"cqrs projections" lists the comparison as "verified" until the next one, or "cqrs prune".',
          )
      })
    })
}

/**
 * States that a build ends in if all went well, also if another one has been swapped in since. In any other, e.g. when it is
 * being pruned, it may have failed before anybody looked.
 */
const ENDED_WELL: readonly GenerationDetails['state'][] = [
  'active',
  'previous',
  'returning',
  'retired',
  'side',
  'verified',
]

/** Whether its comparison has ended. Another verify removes the result of the one before. */
function wasVerified({ state, purpose, verdict }: GenerationDetails): boolean {
  return state === 'verified' || (state === 'pruning' && purpose === 'verify' && verdict !== undefined)
}

/** Prints how it ended; sets exit code 1 if it did not end well. */
function conclude(
  context: CliContext,
  projection: string,
  generation: GenerationDetails | undefined,
  json: boolean | undefined,
): void {
  const wrong = !generation || !(ENDED_WELL.includes(generation.state) || wasVerified(generation))
  const differs = generation?.purpose === 'verify' && generation.verdict !== 'same'
  if (wrong || differs) context.exit(EXIT.failed.code)
  if (json) return
  for (const line of conclusion(projection, generation)) context.print(line)
}

/** How a build ended, as text for people, line by line. */
export function conclusion(projection: string, generation: GenerationDetails | undefined): string[] {
  if (!generation) return [`${projection}: it was given up.`]
  const { state, report, verdict, error } = generation
  const number = `generation ${generation.generation}`
  const lines: string[] = []
  if (state === 'active') lines.push(`${projection}: ${number} serves now.`)
  else if (state === 'side') {
    lines.push(
      `${projection}: ${number} is at position ${count(generation.position)}; read it with "cqrs view".`,
    )
  } else if (state === 'failed') lines.push(`${projection}: ${number} was not swapped in. ${error ?? ''}`)
  else if (wasVerified(generation)) lines.push(`${projection}: ${verified(projection, generation)}`)
  else if (ENDED_WELL.includes(state)) {
    lines.push(`${projection}: ${number} was swapped in, and another one has taken its place since.`)
  } else {
    lines.push(
      `${projection}: ${number} is being removed, so it is not known how it ended. ${error ?? ''}`.trimEnd(),
    )
  }
  const unsure = wasVerified(generation) && verdict === 'inconclusive'
  if (report?.kind === 'compared' && verdict === 'same') lines.push(...parkedIn(report))
  if (report && verdict !== 'same' && !unsure) lines.push(...differences(projection, state, report))
  return lines
}

/** The result of a comparison that was requested. */
function verified(projection: string, { report, verdict }: GenerationDetails): string {
  if (report?.kind !== 'compared') return 'NOT as the log says.'
  const { before, after } = report
  if (verdict === 'same') {
    return `verified at position ${count(after.position)}: ${count(after.documents)} ${after.documents === 1 ? 'document' : 'documents'}, all as the log says`
  }
  if (verdict !== 'inconclusive') return 'NOT as the log says.'
  return (
    `could not be compared at one position (${count(before.position)} and ${count(after.position)}: it kept moving), ` +
    `so nothing is known about its documents. Try again when fewer events arrive: "cqrs verify ${projection}".`
  )
}
