import { setTimeout as delay } from 'node:timers/promises'
import { inflict } from './inflict.ts'
import { type Finding, type Inspection, inspect, isInventory } from './inspect.ts'
import { type Load, startLoad } from './load.ts'
import { type Recovery, RecoveryWatch } from './recovery.ts'
import { type Fault, type Round, VICTIMS } from './schedule.ts'
import type { StormSystem } from './system.ts'
import { until } from './until.ts'

/** A system that has not recovered by then never will, in milliseconds. */
const RECOVERY_MS = 60_000

/** A client that has to try one command for longer gives up, in milliseconds. */
const SETTLE_MS = 90_000

/** Longest pause of a client between two commands, in milliseconds; enough for about 150 commands a second. */
const PAUSE_MS = 120

/** A fault that came, and what the system did about it. */
export interface FaultRecord extends Fault {
  /** From the beginning of the storm, in milliseconds. */
  readonly beganMs: number
  /** Others came with it; the recovery is from all of them. */
  readonly together: boolean
  /** Undefined if the system did not recover. */
  readonly recovery: Recovery | undefined
}

/** What {@link runStorm} takes. */
export interface StormOptions {
  readonly system: StormSystem
  readonly seed: number
  readonly rounds: readonly Round[]
  /** No round begins after so many milliseconds. */
  readonly durationMs: number
  /** What the commands are called: `idempotency` stands in front of each key, `sku` of each SKU. No load if left out. */
  readonly load?: { readonly name: string; readonly prefix: string }
  /** Nobody else sends commands to the system. */
  readonly alone: boolean
  /** Ends the storm early. */
  readonly ending: AbortSignal
  /** Hears of each fault when the system has recovered from it. */
  onFault?(record: FaultRecord): void
  /** Hears what is going on, in a few words. */
  onProgress?(text: string): void
}

/** What became of a storm. */
export interface StormOutcome {
  /** `system ended`: somebody else has stopped it, or it ended by itself, so that nothing can be said of the promises. */
  readonly ended: 'done' | 'time is up' | 'interrupted' | 'stuck' | 'system ended'
  readonly faults: readonly FaultRecord[]
  readonly tookMs: number
  readonly settled: Load['settled']
  /** Undefined if the system has ended. */
  readonly inspection: Inspection | undefined
  /** Everything that is wrong, what the inspection found included. */
  readonly findings: readonly (Finding | { readonly what: 'process'; readonly message: string })[]
}

/**
 * Lets faults come over a system while commands are sent to it, waits after each round until it has
 * recovered, and in the end looks whether every promise was kept.
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
  /** Whatever comes of `work`, the storm is over if the system has ended by then. @throws the reason of `system.ended` */
  const unlessEnded = async <Result>(work: Promise<Result>): Promise<Result> => {
    await work.catch(() => {})
    system.ended.throwIfAborted()
    return work
  }
  try {
    load = await unlessEnded(loadOf(options))
    watch = new RecoveryWatch(system, load)
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
      onProgress?.('waits for the system to recover')
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
    onProgress?.('waits for the last commands')
    const unsettled = load && (await unlessEnded(orError(load.finish())))
    if (unsettled) findings.push({ what: 'unsettled', message: unsettled.message })
    onProgress?.('looks at the log and the views')
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

/** Sends commands, if that is wanted and the app is one whose commands are known. */
async function loadOf({ system, seed, load }: StormOptions): Promise<Load | undefined> {
  const { http, app, ended } = system
  if (!load || http === undefined || !isInventory(app)) return undefined
  return startLoad({ ...load, http, seed, pauseMs: PAUSE_MS, settleMs: SETTLE_MS, signal: ended })
}

/** What went wrong, as a value. */
function orError<Result>(work: Promise<Result>): Promise<Result | Error> {
  return work.catch((error: Error) => error)
}

function whatToDo({ ended, data }: StormSystem): string {
  return (
    `The system ended, and the storm did not end it (${(ended.reason as Error).message}): nothing is known of its promises. ` +
    `Start it on that data folder, "CQRS_DATA=${data} cqrs up", then run "cqrs audit" and "cqrs verify".`
  )
}

/** What did not come back in time once `links` is known, and whether the supervisor is up: looking may tell that it ended. */
async function lookAfter(system: StormSystem, links: Error | Promise<unknown>) {
  const late = await links
  return { late, isUp: system.pidsOf('supervisor').length > 0 }
}

/**
 * Waits until every worker has a link that passes: one that is half-open is noticed late, and its worker is
 * started again, which must not count against the fault that comes next.
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
