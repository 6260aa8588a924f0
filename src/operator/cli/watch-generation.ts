import { setTimeout as delay } from 'node:timers/promises'
import { isCqrsError } from '../../kernel/errors.ts'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { GenerationDetails, RebuildStarted } from '../generations-contract.ts'
import type { CliContext } from './context.ts'
import type { CallOperation } from './operations.ts'
import { bar, progressLine } from './progress-bar.ts'
import { cut } from './table.ts'

/** How often the progress is fetched on a terminal, and elsewhere; in milliseconds. */
const LOOK_MS = { terminal: 200, plain: 1_000 }

/** How the watching ended: with the final state of the generation, or because somebody pressed Ctrl-C. */
export type Watched =
  | { readonly kind: 'ended'; readonly generation: GenerationDetails | undefined }
  | { readonly kind: 'interrupted' }

/**
 * Shows the progress of a generation until it is swapped in (or back), refused, given up, or ready for inspection. On
 * a terminal that is a bar; elsewhere a line whenever something changed, at most one a second; with `json` one object
 * per line. Ctrl-C ends only the watching.
 */
export async function watchGeneration(
  call: CallOperation,
  context: CliContext,
  { projection, generation }: Pick<RebuildStarted, 'projection' | 'generation'>,
  { json = false }: { json?: boolean | undefined },
): Promise<Watched> {
  const { stdout } = context.process
  const bars = stdout.isTTY === true && !json
  const interrupted = new AbortController()
  const { signal } = interrupted
  const interruption = Promise.withResolvers<undefined>()
  const interrupt = () => {
    interrupted.abort()
    interruption.resolve(undefined)
  }
  process.once('SIGINT', interrupt)
  let shown = ''
  const show = (one: GenerationDetails) => {
    const line = json ? JSON.stringify({ projection, ...one }) : progressLine(projection, one)
    // A line that wraps would not be overwritten completely by the next one, so it is cut.
    if (bars) stdout.write(`\r\x1b[K${cut(`${bar(one.position, one.target)} ${line}`, context.width)}`)
    else if (line !== shown) context.print(line)
    shown = line
  }
  try {
    while (!signal.aborted) {
      // Ctrl-C takes effect at once, even while the system does not answer.
      const found = await Promise.race([look(call, projection, generation, signal), interruption.promise])
      if (signal.aborted) break
      if (found) show(found)
      if (!found || isOver(found)) return { kind: 'ended', generation: found }
      const wait = bars ? LOOK_MS.terminal : LOOK_MS.plain
      await delay(wait, undefined, { signal }).catch(() => undefined)
    }
    return { kind: 'interrupted' }
  } finally {
    process.removeListener('SIGINT', interrupt)
    if (bars) stdout.write('\n')
  }
}

/**
 * Says that Ctrl-C ended only the watching, and where to see the rest. The exit code is not 0, so that a script does not
 * take what goes on for done.
 */
export function goesOn(
  context: CliContext,
  what: 'rebuild' | 'verify' | 'rollback',
  projection: string,
): void {
  context.warn(`The ${what} goes on; to see it: cqrs projections show ${projection}`)
  context.exit(EXIT.interrupted.code)
}

async function look(
  call: CallOperation,
  projection: string,
  generation: number,
  signal: AbortSignal,
): Promise<GenerationDetails | undefined> {
  while (!signal.aborted) {
    try {
      const { projections } = await call('ops::projections-show', { projection })
      return projections[0]?.generations.find((one) => one.generation === generation)
    } catch (error) {
      // The build goes on even if the operator worker does not answer, so the watching goes on, too.
      if (!isCqrsError(error, 'CQRS_ENGINE_UNREACHABLE')) throw error
      await delay(LOOK_MS.plain, undefined, { signal }).catch(() => undefined)
    }
  }
  return undefined
}

function isOver({ state }: GenerationDetails): boolean {
  return !['building', 'ready', 'returning', 'cancelling'].includes(state)
}
