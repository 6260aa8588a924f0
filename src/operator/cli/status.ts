import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import type { ProjectionStatus, SystemStatus } from '../contract.ts'
import { undecided } from '../undecided.ts'
import type { CliContext } from './context.ts'
import { patiently, withOperations } from './operations.ts'
import { briefProgress } from './progress-bar.ts'
import { type Standing, standingStill } from './standing-still.ts'
import { type Column, count, layOut, printable } from './table.ts'
import { wholeNumber } from './values.ts'

const CLEAR_SCREEN = '\x1b[H\x1b[2J'

/** `cqrs status`. */
export function statusCommand(context: CliContext): Command {
  return new Command('status')
    .description('Show every projection: position, lag behind the log, parked events, its queue.')
    .option('--json', 'print the answer as JSON')
    .option(
      '-w, --watch [seconds]',
      'repeat every so many seconds (1 by default) until Ctrl-C',
      wholeNumber(1, 3_600),
    )
    .addHelpText(
      'after',
      `
PARKED counts events that failed and events that wait behind them; DEAD counts those that failed too often and need your
decision. EFFECTS counts effects that are recorded and not sent yet and, in brackets, those that failed too often and need
your decision, too. LAG is the number of events behind the head of the log.
With --watch, --json prints one object per line.

State of a projection:
  live      it has applied every event
  behind    it is catching up
  paused    an operator paused it: "cqrs projections resume" ends the pause
  frozen    the generation that serves belongs to another version of the code; a rebuild replaces it (after a rollback, only
            when you run "cqrs rebuild")
  damaged   the file of the generation that serves is damaged: "cqrs rebuild" replaces it; the other views go on
  parked    events failed: "cqrs dlq list" shows them
  waits     a worker whose code splits it into other partitions holds it: stop that process, whose id is shown
  no owner  no worker has its function, so it does not advance
After the state come the generations that are being built: phase, progress and time left.

Examples:
  cqrs status
  cqrs status --watch
  cqrs status --json | jq '.projections[] | {name, lag}'`,
    )
    .action(async (options: { json?: boolean; watch?: number | true }) => {
      await withOperations(context, async (call) => {
        const show = async () => {
          const status = await call('ops::status', {})
          if (options.json) context.print(JSON.stringify(status, null, options.watch ? undefined : 2))
          else for (const line of renderStatus(status, context.width)) context.print(line)
        }
        await show()
        if (!options.watch) return
        const seconds = options.watch === true ? 1 : options.watch
        for (;;) {
          await delay(seconds * 1_000)
          if (!options.json && context.process.stdout.isTTY) context.process.stdout.write(CLEAR_SCREEN)
          await patiently(show, context)
        }
      })
    })
}

const COLUMNS: readonly Column<ProjectionStatus>[] = [
  { title: 'PROJECTION', cell: named },
  { title: 'STATE', cell: stateOf },
  { title: 'POSITION', align: 'right', cell: ({ position }) => orNothing(position) },
  { title: 'LAG', align: 'right', cell: ({ lag }) => orNothing(lag) },
  { title: 'PARKED', align: 'right', cell: ({ parked }) => orNothing(parked && total(parked)) },
  { title: 'DEAD', align: 'right', cell: ({ parked }) => orNothing(parked?.dead) },
  { title: 'EFFECTS', align: 'right', cell: effectsOf },
  { title: 'QUEUE', align: 'right', cell: ({ queue }) => orNothing(queue?.depth) },
  { title: 'DEAD LETTERS', align: 'right', cell: ({ queue }) => orNothing(queue?.deadLetters) },
]

/** The status as text for people, line by line. */
export function renderStatus(
  { app, head, takenAt, projections }: SystemStatus,
  width = Number.POSITIVE_INFINITY,
): string[] {
  const lines = [`${app}: head at ${count(head)}, ${takenAt}`, '', ...layOut(COLUMNS, projections, width)]
  if (projections.some(({ queue }) => queue === null)) {
    lines.push('', 'No queue worker answers; projections go on from the log by their sweep.')
  }
  for (const { damaged } of projections) if (damaged !== null) lines.push('', printable(damaged))
  for (const trouble of troubles(projections)) lines.push('', trouble)
  for (const line of standingStill(projections.map(standing))) lines.push('', line)
  const letters = undecided({ projections })
  if (letters > 0) lines.push('', `${count(letters)} failed for good and need a decision: cqrs dlq list`)
  return lines
}

/** The name, and the version of the generation that serves unless it is 1 as in the code. An older system does not tell it. */
function named({ name, version, servingVersion = version }: ProjectionStatus): string {
  if (servingVersion !== version) return `${name} v${servingVersion} (code: v${version})`
  return version === 1 ? name : `${name} v${version}`
}

function effectsOf({ effects }: ProjectionStatus): string {
  const pending = orNothing(effects?.pending)
  return effects?.dead ? `${pending} (${count(effects.dead)} dead)` : pending
}

function stateOf(projection: ProjectionStatus): string {
  const { owned, waitsFor, builds } = projection
  if (waitsFor !== null) return waitsFor > 0 ? `waits for ${waitsFor}` : 'waits'
  // Without an owner there is no progress of builds to show, either.
  if (!owned) return 'no owner'
  return [stateOfView(projection), ...builds.map(briefProgress)].join('; ')
}

function stateOfView(projection: ProjectionStatus): string {
  const { damaged, paused, frozen } = projection
  if (damaged !== null) return 'damaged'
  if (paused) return 'paused'
  if (frozen) return 'frozen'
  if (projection.lag !== 0) return 'behind'
  return total(projection.parked) > 0 ? 'parked' : 'live'
}

function standing(status: ProjectionStatus): Standing {
  const { projection, paused, frozen, builds, version, servingVersion = version } = status
  const rebuilding = builds.some(({ purpose }) => purpose === 'serve')
  return { name: projection, paused, frozen, rebuilding, servingVersion, version }
}

/** Why builds cannot go on. A set, because the partitions of a projection have the same builds. */
function troubles(projections: readonly ProjectionStatus[]): Set<string> {
  const lines = projections.flatMap(({ projection, builds }) =>
    builds.flatMap(({ generation, error }) =>
      error === null ? [] : [`${projection} generation ${generation}: ${printable(error)}`],
    ),
  )
  return new Set(lines)
}

/** A count, or `-` if there is none. */
function orNothing(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : count(value)
}

function total({ retrying, dead, waiting }: NonNullable<ProjectionStatus['parked']>): number {
  return retrying + dead + waiting
}
