import { setTimeout as delay } from 'node:timers/promises'
import { inflict } from './inflict.ts'
import { type Finding, type Inspection, inspect, isInventory } from './inspect.ts'
import { type Load, startLoad } from './load.ts'
import { type Recovery, RecoveryWatch } from './recovery.ts'
import { type Fault, type Round, VICTIMS } from './schedule.ts'
import type { StormSystem } from './system.ts'
import { until } from './until.ts'

/** How long a system may take to recover before it counts as stuck, in milliseconds. */
const RECOVERY_MS = 60_000

/** How long a client tries one command before it gives up, in milliseconds. */
const SETTLE_MS = 90_000

/** Longest pause of a client between two commands, in milliseconds; enough for about 150 commands a second. */
const PAUSE_MS = 120

/** A fault that was inflicted, and how the system recovered from it. */
export interface FaultRecord extends Fault {
  /** When it began, in milliseconds from the beginning of the storm. */
  readonly beganMs: number
  /** Whether others came with it; then the recovery is from all of them. */
  readonly together: boolean
  /** Undefined if the system did not recover. */
  readonly recovery: Recovery | undefined
}

/** What {@link runStorm} takes. */
export interface StormOptions {
  readonly system: StormSystem
  readonly seed: number
  readonly rounds: readonly Round[]
  /** No round begins after this time, in milliseconds. */
  readonly durationMs: number
  /** The load to send: `name` is the prefix of each idempotency key, `prefix` that of each SKU. No load if left out. */
  readonly load?: { readonly name: string; readonly prefix: string }
  /** Whether nobody else sends commands to the system. */
  readonly alone: boolean
  /** Ends the storm early. */
  readonly ending: AbortSignal
  /** Called for each fault, when the system has recovered from it or has failed to. */
  onFault?(record: FaultRecord): void
  /** Called with what is going on, in a few words. */
  onProgress?(text: string): void
}

/** The outcome of a storm. */
export interface StormOutcome {
  /**
   * `system ended`: somebody else has stopped the system, or it has ended by itself, so that nothing is known of the
   * promises.
   */
  readonly ended: 'done' | 'time is up' | 'interrupted' | 'stuck' | 'system ended'
  readonly faults: readonly FaultRecord[]
  readonly tookMs: number
  readonly settled: Load['settled']
  /** Undefined if the system has ended. */
  readonly inspection: Inspection | undefined
  /** Everything that is wrong, including what the inspection found. */
  readonly findings: readonly (Finding | { readonly what: 'process'; readonly message: string })[]
}

/**
 * Inflicts faults on a system while commands are sent to it, waits after each round until it has recovered, and at the
 * end checks whether every promise was kept.
 */
export async function runStorm(options: StormOptions): Promise<StormOutcome> {
  const { system, rounds, ending, onFault, onProgress } = options
  const over = AbortSignal.any([ending, system.ended])
  const faults: FaultRecord[] = []
  const findings: StormOutcome['findings'][number][] = []
  let ended: StormOutcome['ended'] = 'done'
  let began = performance.now()
  let load: Load | undefined
  let watch: RecoveryWatch | undefined
  /**
   * Awaits `work`. Whatever its result, the storm is over if the system has ended by then.
   *
   * @throws the reason of `system.ended`
   */
  const unlessEnded = async <Result>(work: Promise<Result>): Promise<Result> => {
    await work.catch(() => {})
    system.ended.throwIfAborted()
    return work
  }
  try {
    load = await unlessEnded(loadOf(options))
    watch = await RecoveryWatch.open(system, load)
    began = performance.now()
    for (const { waitMs, faults: round } of rounds) {
      await unlessEnded(delay(waitMs, undefined, { signal: over }).catch(() => {}))
      if (ending.aborted) ended = 'interrupted'
      else if (performance.now() - began > options.durationMs) ended = 'time is up'
      if (ended !== 'done') break

      const inflicted = round.map((fault) => inflictLater(system, fault, began, over))
      const begun = await unlessEnded(Promise.all(inflicted))
      const since = Math.max(...begun.map((one) => one.over))
      for (const { problem } of begun) if (problem) findings.push({ what: 'process', message: problem })
      onProgress?.('waiting for the system to recover')
      const recovery = await unlessEnded(orError(watch.recovered(since, RECOVERY_MS)))
      for (const { fault, beganMs } of begun) {
        const record: FaultRecord = {
          ...fault,
          beganMs,
          together: round.length > 1,
          recovery: recovery instanceof Error ? undefined : recovery,
        }
        faults.push(record)
        onFault?.(record)
      }
      const links = recovery instanceof Error ? recovery : orError(linksPass(system, watch))
      const { late, isUp } = await unlessEnded(lookAfter(system, links))
      if (late instanceof Error) {
        const numbers = round.map(({ number }) => number).join(', ')
        findings.push({ what: 'behind', message: `After fault ${numbers}: ${late.message}.` })
        ended = 'stuck'
        break
      }
      if (!isUp) {
        findings.push({ what: 'process', message: `cqrs up did not come back after fault ${faults.length}.` })
        ended = 'stuck'
        break
      }
    }
    const tookMs = performance.now() - began
    onProgress?.('waiting for the last commands')
    const unsettled = load && (await unlessEnded(orError(load.finish())))
    if (unsettled) findings.push({ what: 'unsettled', message: unsettled.message })
    onProgress?.('checking the log and the views')
    const settled = load?.settled ?? []
    const alone = options.alone && !unsettled
    const { data, app } = system
    const inspection = await unlessEnded(inspect({ data, app, settled, alone, ended: system.ended }))
    findings.push(...inspection.findings)
    return { ended, faults, tookMs, settled, inspection, findings }
  } catch (error) {
    if (error !== system.ended.reason) throw error
    return {
      ended: 'system ended',
      faults,
      tookMs: performance.now() - began,
      settled: load?.settled ?? [],
      inspection: undefined,
      findings: [...findings, { what: 'process', message: whatToDo(system) }],
    }
  } finally {
    await watch?.close()
  }
}

/** Starts the load, if one is wanted, HTTP is served and the app is the inventory, whose commands are known. */
async function loadOf({ system, seed, load }: StormOptions): Promise<Load | undefined> {
  const { http, app, ended } = system
  if (!load || http === undefined || !isInventory(app)) return undefined
  return startLoad({ ...load, http, seed, pauseMs: PAUSE_MS, settleMs: SETTLE_MS, signal: ended })
}

/** Turns a rejection into a value. */
function orError<Result>(work: Promise<Result>): Promise<Result | Error> {
  return work.catch((error: Error) => error)
}

function whatToDo({ ended, data }: StormSystem): string {
  return (
    `The system ended, but not because of the storm (${(ended.reason as Error).message}), so its promises could not be checked. ` +
    `Start it on the same data folder, "CQRS_DATA=${data} cqrs up", then run "cqrs audit" and "cqrs verify".`
  )
}

/**
 * Once `links` has settled: the error if something did not come back in time, and whether the supervisor is up. Looking
 * for the supervisor can also reveal that the system has ended.
 */
async function lookAfter(system: StormSystem, links: Error | Promise<unknown>) {
  const late = await links
  return { late, isUp: system.pidsOf('supervisor').length > 0 }
}

/**
 * Waits until every worker has a link that works. A half-open link is noticed late, and its worker is then started
 * again; this must not count against the next fault.
 */
async function linksPass(system: StormSystem, watch: RecoveryWatch): Promise<void> {
  const links = VICTIMS.flatMap((victim) => system.linksOf(victim))
  if (links.every(({ connected }) => connected)) return
  const connected = () => links.every((link) => link.connected)
  await until('every worker is connected', connected, RECOVERY_MS, system.ended)
  await watch.recovered(performance.now(), RECOVERY_MS)
}

async function inflictLater(system: StormSystem, fault: Fault, began: number, ending: AbortSignal) {
  await delay(fault.atMs, undefined, { signal: ending }).catch(() => {})
  const beganMs = performance.now() - began
  try {
    return { fault, beganMs, over: await inflict(system, fault, ending), problem: undefined }
  } catch (error) {
    const problem = `Fault ${fault.number}, ${fault.kind} ${fault.victim}: ${(error as Error).message}.`
    return { fault, beganMs, over: performance.now(), problem }
  }
}
