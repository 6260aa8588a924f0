import { setTimeout as delay } from 'node:timers/promises'
import { isCqrsError } from '../../kernel/errors.ts'
import type { GenerationDetails, RebuildStarted } from '../generations-contract.ts'
import type { CliContext } from './context.ts'
import type { CallOperation } from './operations.ts'
import { bar, progressLine } from './progress-bar.ts'
import { cut } from './table.ts'

/** How often the progress is asked for: on a terminal, and elsewhere, in milliseconds. */
const LOOK_MS = { terminal: 200, plain: 1_000 }

/** How the watching ended: where the generation came to, or that somebody pressed Ctrl-C. */
export type Watched =
  | { readonly kind: 'ended'; readonly generation: GenerationDetails | undefined }
  | { readonly kind: 'interrupted' }

/**
 * Shows the progress of a generation until it is swapped in (or back), refused, given up or ready to be looked at: a bar on a
 * terminal, a line a second elsewhere, an object per line with `json`. Ctrl-C ends the watching only.
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
    // A line that goes on below would not be overwritten by the next one.
    if (bars) stdout.write(`\r\x1b[K${cut(`${bar(one.position, one.target)} ${line}`, context.width)}`)
    else if (line !== shown) context.print(line)
    shown = line
  }
  try {
    while (!signal.aborted) {
      // Who presses Ctrl-C waits for nobody, least of all for a system that is away.
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
      // The build goes on without whoever answers, and so does the watching.
      if (!isCqrsError(error, 'CQRS_ENGINE_UNREACHABLE')) throw error
      await delay(LOOK_MS.plain, undefined, { signal }).catch(() => undefined)
    }
  }
  return undefined
}

function isOver({ state }: GenerationDetails): boolean {
  return !['building', 'ready', 'returning', 'cancelling'].includes(state)
}
