import { Command } from 'commander'
import type { StormReport } from '../../chaos/report.ts'
import {
  FAULT_KINDS,
  type FaultKind,
  schedule,
  VICTIMS,
  type Victim,
  victimsOf,
} from '../../chaos/schedule.ts'
import type { StormSystem } from '../../chaos/system.ts'
import type { TemporarySystem } from '../../chaos/temporary-system.ts'
import { NO_APP } from '../../config/config.ts'
import { CqrsError } from '../../kernel/errors.ts'
import { EXIT } from '../../supervisor/exit-codes.ts'
import { describeFault, renderReport } from './chaos-report.ts'
import type { CliContext } from './context.ts'
import { OperationFailed } from './operations.ts'
import { cut } from './table.ts'
import { someOf, wholeNumber } from './values.ts'

interface ChaosOptions {
  readonly running?: boolean
  readonly load?: boolean
  readonly kind?: readonly FaultKind[]
  readonly role?: readonly Victim[]
  readonly faults?: number
  readonly duration?: number
  readonly rate: number
  readonly seed?: number
  readonly keep?: boolean
  readonly json?: boolean
}

/** Default duration of a storm, in seconds. */
const DURATION_S = 60

const LARGEST_SEED = 2 ** 31 - 1

/** `cqrs chaos`. */
export function chaosCommand(context: CliContext): Command {
  return new Command('chaos')
    .description('Inject faults into a system while commands are sent to it, and prove that nothing is lost.')
    .option('--running', 'use the system that runs on the configured data folder instead of a temporary one')
    .option('--kind <kind...>', `only these kinds of faults: ${FAULT_KINDS.join(', ')}`, someOf(FAULT_KINDS))
    .option(
      '--role <role...>',
      `only faults that hit these processes: ${VICTIMS.join(', ')}`,
      someOf(VICTIMS),
    )
    .option('--rate <number>', 'faults per minute, at most', wholeNumber(1, 6_000), 30)
    .option(
      '--duration <seconds>',
      `start no fault after this time; by default ${DURATION_S}, or no limit with --faults`,
      wholeNumber(1, 604_800),
    )
    .option(
      '--faults <number>',
      'number of faults; by default as many as fit into the duration',
      wholeNumber(1, 1_000_000),
    )
    .option(
      '--seed <number>',
      'determines the faults and the commands; random by default',
      wholeNumber(1, LARGEST_SEED),
    )
    .option('--load', 'send commands; a running system gets none by default')
    .option('--no-load', 'send no commands')
    .option('--keep', 'keep the folder of the temporary system')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Starts a temporary system in a separate folder, with a proxy between each worker and the engine, and removes it at the end.
The seed determines the faults: their kinds, what they hit, and how long they last. Some come at the same time; the next ones
wait until commands are accepted again and every view has caught up. At the end, the whole log and all views are checked.
Ctrl-C ends the storm early and lets the system recover; a second Ctrl-C ends everything at once.

A running system is hit only by kill and pause. Wipe deletes the messages in its queue, so it has to be named with --kind. With
--load, the items that the storm creates stay in the log for good.

Exit code 0: every promise was kept; 1: one was broken, or somebody stopped the system during the storm, so that nothing is
proven. With exit code 1, the folder of the temporary system is kept.

Examples:
  cqrs chaos
  cqrs chaos --seed 42 --faults 200 --rate 60
  cqrs chaos --kind kill pause --role projections queue --duration 300
  CQRS_APP=./my-app.ts CQRS_DATA=/var/lib/my-app cqrs chaos --running --kind kill`,
    )
    .action((options: ChaosOptions, command: Command) => {
      const { kind = FAULT_KINDS, role = VICTIMS } = options
      if (kind.every((each) => victimsOf(each, role).length === 0)) {
        return command.error(`error: ${kind.join(', ')} cannot hit ${role.join(', ')}`)
      }
      return chaos(context, options)
    })
}

async function chaos(context: CliContext, options: ChaosOptions): Promise<void> {
  const { runStorm } = await import('../../chaos/storm.ts')
  const { reportStorm } = await import('../../chaos/report.ts')
  const { isInventory } = await import('../../chaos/inspect.ts')
  const { loadApp } = await import('../../workers/load-app.ts')

  const seed = options.seed ?? 1 + Math.floor(Math.random() * LARGEST_SEED)
  const config = context.config()
  if (config.app === NO_APP) {
    const message =
      'A storm proves what the views of an app hold, and there is no app (CQRS_APP=none). Name an app, or leave CQRS_APP ' +
      'out to have a storm over the inventory. No fault was inflicted.'
    throw new CqrsError('CQRS_APP_INVALID', message)
  }
  const app = await loadApp(config.app)
  const say = progressOf(context, options.json ?? false)
  let temporary: TemporarySystem | undefined
  const ending = endedBySignal(context, async () => temporary?.dispose({ keep: options.keep ?? false }))
  if (!options.running) {
    say.progress('starting a temporary system')
    const { startTemporarySystem } = await import('../../chaos/temporary-system.ts')
    const { env } = context.process
    const smallDisk = (options.kind ?? FAULT_KINDS).includes('disk-full')
    temporary = await startTemporarySystem({ app, env, cwd: context.process.cwd(), smallDisk })
  }
  let report: StormReport | undefined
  try {
    const system = temporary ?? (await findRunning(context, app))
    const { kinds, leftOut } = possibleKinds(system, options.kind)
    const durationMs = 1_000 * (options.duration ?? (options.faults ? Number.POSITIVE_INFINITY : DURATION_S))
    const rounds = schedule(seed, {
      kinds,
      victims: (options.role ?? VICTIMS).filter((victim) => temporary || victim !== 'supervisor'),
      faults: options.faults ?? Math.ceil((durationMs / 60_000) * options.rate),
      perMinute: options.rate,
      longMs: system.longMs,
    })
    const planned = rounds.reduce((sum, { faults }) => sum + faults.length, 0)
    if (planned === 0) throw new OperationFailed(`There is nothing to do: ${leftOut.join('; ')}.`)
    const withLoad =
      (options.load ?? temporary !== undefined) && isInventory(app) && system.http !== undefined
    if (!isInventory(app)) leftOut.push(`commands: only those of the inventory are known, not of ${app.name}`)
    say.line(`Seed ${seed}, ${planned} faults.`)
    for (const line of leftOut) say.line(`Left out: ${line}.`)

    // The log of a running system contains the idempotency keys of earlier storms, so the name must be new.
    const name = temporary ? String(seed) : `chaos-${seed}-${Date.now().toString(36)}`
    const outcome = await runStorm({
      system,
      seed,
      rounds,
      durationMs,
      alone: temporary !== undefined,
      ...(withLoad && { load: { name, prefix: temporary ? 'item-' : `${name}-` } }),
      ending,
      onFault: (record) => say.line(describeFault(record, planned)),
      onProgress: say.progress,
    })
    report = reportStorm(outcome, { seed, app: app.name, system: system.kind, leftOut, planned, withLoad })
    if (temporary && report.ended !== 'system ended') report = withExit(report, await temporary.stop())
  } finally {
    say.progress('')
    // Without a report there are no findings to investigate in the folder.
    const kept = options.keep || report?.ok === false
    await temporary?.dispose({ keep: kept })
    if (temporary && kept) context.warn(`The data and the log of the system are in ${temporary.folder}.`)
  }
  if (!report.ok) context.exit(EXIT.failed.code)
  for (const line of options.json ? [JSON.stringify(report)] : renderReport(report, context.width))
    context.print(line)
  if (report.ended === 'system ended') for (const { message } of report.findings) context.warn(message)
}

async function findRunning(context: CliContext, app: StormSystem['app']): Promise<StormSystem> {
  const { findRunningSystem } = await import('../../chaos/running-system.ts')
  return findRunningSystem(app, context.config())
}

/** The requested kinds that are possible here. A kind that would harm a system in use has to be requested by name. */
function possibleKinds({ kind: system, impossible }: StormSystem, named: readonly FaultKind[] | undefined) {
  const wanted = named ?? FAULT_KINDS
  const why = (kind: FaultKind) => {
    if (kind === 'wipe' && system === 'running' && !named) {
      return 'it deletes the messages in the queue; name it with --kind'
    }
    return impossible.get(kind)
  }
  return {
    kinds: wanted.filter((kind) => why(kind) === undefined),
    leftOut: wanted.filter((kind) => why(kind) !== undefined).map((kind) => `${kind}: ${why(kind)}`),
  }
}

/** Adds a finding if the system did not stop in order after the storm. */
function withExit(report: StormReport, code: number | null): StormReport {
  if (code === EXIT.ok.code) return report
  const message = `cqrs up did not stop in order when it was told to (exit code ${code}).`
  return { ...report, ok: false, findings: [...report.findings, { what: 'process', message }] }
}

/** A signal that the first Ctrl-C aborts; the second Ctrl-C ends everything. */
function endedBySignal({ process, warn }: CliContext, abandon: () => Promise<void>): AbortSignal {
  const ending = new AbortController()
  const onSignal = () => {
    if (ending.signal.aborted) {
      void abandon().finally(() => process.exit(EXIT.failed.code))
      return
    }
    warn('The storm ends; the system recovers and is checked. Ctrl-C again ends everything at once.')
    ending.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  return ending.signal
}

/**
 * Prints a line for each fault (with --json on standard error) and, on a terminal, one line that shows what is going
 * on.
 */
function progressOf(context: CliContext, json: boolean) {
  const { stdout } = context.process
  const terminal = stdout.isTTY === true && !json
  const clear = terminal ? '\r\x1b[K' : ''
  return {
    line: (text: string) => (json ? context.warn(text) : context.print(clear + text)),
    progress: (text: string) => void (terminal && stdout.write(clear + cut(text, context.width))),
  }
}
