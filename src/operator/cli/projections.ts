import { Command } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type {
  GenerationDetails,
  GenerationsChanged,
  ProjectionDetails,
  ProjectionsList,
} from '../generations-contract.ts'
import { lastComparison } from './comparison.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { bytes, progressLine } from './progress-bar.ts'
import { type Standing, standingStill } from './standing-still.ts'
import { type Column, count, cut, layOut } from './table.ts'
import { refuseUnknown } from './unknown-command.ts'
import { wholeNumber } from './values.ts'
import { goesOn, watchGeneration } from './watch-generation.ts'

/** `cqrs projections`. */
export function projectionsCommand(context: CliContext): Command {
  /** `--json` may be given to this command or to its subcommands. */
  const isJson = (command: Command) => command.optsWithGlobals<{ json?: boolean }>().json
  const list = async (_options: object, command: Command) => {
    // Without a subcommand, the command lists. It takes no arguments, so any word here is a mistyped subcommand.
    const [word] = command.args
    if (word !== undefined) refuseUnknown(command, word)
    return withOperations(context, async (call) =>
      print(context, await call('ops::projections', {}), isJson(command)),
    )
  }
  const act = (
    name: string,
    description: string,
    operation: 'ops::pause' | 'ops::resume' | 'ops::rebuild-cancel',
  ) =>
    new Command(name)
      .description(description)
      .argument('<projection>', 'the name of the projection')
      .option('--json', 'print the answer as JSON')
      .action((projection: string, _options: object, command: Command) =>
        withOperations(context, async (call) => {
          const answer = await call(operation, { projection })
          context.print(isJson(command) ? JSON.stringify(answer) : `${projection}: ${DONE[operation]}`)
        }),
      )
  return new Command('projections')
    .description(
      'Show the generations of every view: which one serves, which are being built, and their size on disk.',
    )
    .option('--json', 'print the answer as JSON')
    .allowExcessArguments()
    .action(list)
    .addCommand(
      new Command('list')
        .description('Show the generations of every view.')
        .option('--json', 'print the answer as JSON')
        .action(list),
    )
    .addCommand(
      new Command('show')
        .description(
          'Show the generations of one view, with their progress and the result of the last comparison.',
        )
        .argument('<projection>', 'the name of the projection')
        .option('--json', 'print the answer as JSON')
        .action(async (projection: string, _options: object, command: Command) =>
          withOperations(context, async (call) => {
            const found = await call('ops::projections-show', { projection })
            print(context, found, isJson(command))
            if (isJson(command)) return
            for (const line of found.projections.flatMap(lastComparison))
              context.print(cut(line, context.width))
          }),
        ),
    )
    .addCommand(
      act(
        'pause',
        'Stop applying events to a view and sending its effects, until it is resumed.',
        'ops::pause',
      ),
    )
    .addCommand(act('resume', 'Resume a paused projection.', 'ops::resume'))
    .addCommand(
      act(
        'cancel',
        'Cancel the builds of a view, and a rollback that is not done yet.',
        'ops::rebuild-cancel',
      ),
    )
    .addHelpText(
      'after',
      `
Examples:
  cqrs projections
  cqrs projections show inventory-list
  cqrs projections pause inventory-alert
  cqrs projections resume inventory-alert
  cqrs projections cancel inventory-list`,
    )
}

const DONE = {
  'ops::pause': 'paused; "cqrs projections resume" ends the pause',
  'ops::resume': 'resumed',
  'ops::rebuild-cancel': 'cancelled',
}

interface RollbackOptions {
  force?: boolean
  detach?: boolean
  json?: boolean
}

/** `cqrs rollback`. */
export function rollbackCommand(context: CliContext): Command {
  return new Command('rollback')
    .description('Return to the generation that served before the last rebuild.')
    .argument('<projection>', 'the name of the projection')
    .option('--force', 'return to a generation of another version, even if it is behind')
    .option('--detach', 'do not wait until it is done')
    .option('--json', 'print the progress as JSON, one object per line')
    .addHelpText(
      'after',
      `
Ctrl-C ends only the watching, with exit code 130; the rollback goes on.

Examples:
  cqrs rollback inventory-list
  cqrs rollback inventory-list --detach`,
    )
    .action(async (projection: string, { force, detach, json }: RollbackOptions) =>
      withOperations(context, async (call) => {
        const answer = await call('ops::rollback', { projection, ...(force && { force }) })
        const [returning] = answer.generations
        if (detach || !returning) {
          const text = `${projection}: returning to generation ${returning?.generation}`
          return context.print(json ? JSON.stringify(answer) : text)
        }
        const watched = await watchGeneration(call, context, returning, { json })
        if (watched.kind === 'interrupted') return goesOn(context, 'rollback', projection)
        const serves = watched.generation?.state === 'active'
        if (!serves) context.exit(EXIT.failed.code)
        if (json) return
        const why = watched.generation?.error ?? 'Somebody cancelled the rollback.'
        const how = serves ? 'serves now.' : `will not serve again. ${why}`
        context.print(`${projection}: generation ${returning.generation} ${how}`)
      }),
    )
}

/** `cqrs prune`. */
export function pruneCommand(context: CliContext): Command {
  return new Command('prune')
    .description(
      'Remove generations that do not serve: earlier ones, failed ones, and those built for inspection.',
    )
    .argument('[projection]', 'only this projection; all if left out')
    .option(
      '--generation <number>',
      'only the generation with this number',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--keep-previous', 'keep the one that "cqrs rollback" returns to')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  cqrs prune --keep-previous\n  cqrs prune inventory-list --generation 3',
    )
    .action(
      async (
        projection: string | undefined,
        options: { generation?: number; keepPrevious?: boolean; json?: boolean },
      ) =>
        withOperations(context, async (call) => {
          const { json, ...rest } = options
          const answer = await call('ops::prune', {
            ...rest,
            ...(projection !== undefined && { projection }),
          })
          context.print(json ? JSON.stringify(answer) : pruned(answer))
        }),
    )
}

function pruned({ generations }: GenerationsChanged): string {
  if (generations.length === 0) return 'Nothing to remove.'
  return `Removing ${generations.map(({ projection, generation }) => `${projection} generation ${generation}`).join(', ')}.`
}

function print(context: CliContext, list: ProjectionsList, json: boolean | undefined): void {
  if (json) context.print(JSON.stringify(list, null, 2))
  else for (const line of renderProjections(list, context.width)) context.print(line)
}

interface Row extends GenerationDetails {
  readonly projection: ProjectionDetails
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'PROJECTION', cell: ({ projection }) => projection.name },
  { title: 'GENERATION', align: 'right', cell: ({ generation }) => String(generation) },
  { title: 'VERSION', align: 'right', cell: ({ version }) => String(version) },
  { title: 'PARTS', align: 'right', cell: ({ partitions }) => String(partitions) },
  { title: 'STATE', cell: ({ state, purpose, projection }) => describeState(state, purpose, projection) },
  { title: 'POSITION', align: 'right', cell: ({ position }) => count(position) },
  { title: 'DISK', align: 'right', cell: (row) => bytes(row.bytes) },
]

/** The generations as text for people, line by line. */
export function renderProjections({ projections }: ProjectionsList, width: number): string[] {
  const rows = projections.flatMap((projection) =>
    projection.generations.map((generation) => ({ ...generation, projection })),
  )
  const lines = layOut(COLUMNS, rows, width)
  for (const { projection, ...generation } of rows) {
    if (generation.state === 'building' || generation.error !== null) {
      lines.push('', progressLine(projection.name, generation))
    }
  }
  for (const line of standingStill(projections.map(standing))) lines.push('', line)
  return lines
}

function standing({ name, paused, frozen, generations, active, version }: ProjectionDetails): Standing {
  const servingVersion = generations.find(({ generation }) => generation === active)?.version ?? version
  const rebuilding = generations.some(
    ({ state, purpose }) => purpose === 'serve' && ['building', 'ready'].includes(state),
  )
  return { name, paused, frozen, rebuilding, servingVersion, version }
}

function describeState(state: string, purpose: string, { paused, frozen }: ProjectionDetails): string {
  if (state === 'active') return paused ? 'active, paused' : frozen ? 'active, frozen' : 'active'
  return state === 'building' && purpose !== 'serve' ? `building to ${purpose}` : state
}
