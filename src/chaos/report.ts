import type { ViewVerdict } from './inspect.ts'
import type { FaultRecord, StormOutcome } from './storm.ts'

/** The 50th and the 99th percentile and the largest value, in whole milliseconds. */
export interface Spread {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** How long the system took to recover from faults, from the moment when their cause was gone. */
export interface RecoverySummary {
  readonly faults: number
  /** Until commands were accepted again; null without a load. */
  readonly acceptedMs: Spread | null
  /** Until every view had reached what was accepted then. */
  readonly zeroLagMs: Spread | null
}

/** What a storm did and found; `cqrs chaos --json` prints it. */
export interface StormReport {
  readonly ok: boolean
  readonly seed: number
  readonly app: string
  readonly system: 'temporary' | 'running'
  readonly ended: StormOutcome['ended']
  readonly tookMs: number
  readonly faults: {
    readonly planned: number
    readonly done: number
    /** By kind, then by victim. */
    readonly byKind: Readonly<Record<string, Readonly<Record<string, number>>>>
    readonly all: readonly FaultRecord[]
  }
  /** What could not be done, and why. */
  readonly leftOut: readonly string[]
  /** Null without a load. */
  readonly commands: {
    readonly sent: number
    readonly accepted: number
    readonly refused: number
    /** Tries beyond the first. */
    readonly retries: number
    /** Accepted commands that got the answer of an earlier try, which had not reached the client. */
    readonly replayed: number
    /**
     * Acknowledged commands that are not in the log, or not as acknowledged. This and the next two are null if the
     * system has ended, so that nobody looked.
     */
    readonly lost: number | null
    /** Commands carried out more than once, or although they were refused. */
    readonly doubled: number | null
    /** Sales of more than was in stock. */
    readonly oversold: number | null
  } | null
  readonly events: number | null
  readonly recovery: RecoverySummary
  readonly recoveryByKind: Readonly<Record<string, RecoverySummary>>
  readonly views: readonly ViewVerdict[]
  /** What is wrong; empty if everything is right. */
  readonly findings: StormOutcome['findings']
}

/** Makes the report of a storm. */
export function reportStorm(
  outcome: StormOutcome,
  known: Pick<StormReport, 'seed' | 'app' | 'system' | 'leftOut'> & { planned: number; withLoad: boolean },
): StormReport {
  const { planned, withLoad, ...rest } = known
  const { faults, findings, inspection, settled } = outcome
  const accepted = settled.filter(({ answer }) => answer.status < 300)
  // Only faults that came alone show what a kind of fault costs.
  const alone = faults.filter(({ together }) => !together)
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort()
  return {
    ok: findings.length === 0,
    ...rest,
    ended: outcome.ended,
    tookMs: Math.round(outcome.tookMs),
    faults: { planned, done: faults.length, byKind: countByKind(faults), all: faults },
    commands: withLoad
      ? {
          sent: settled.length,
          accepted: accepted.length,
          refused: settled.length - accepted.length,
          retries: settled.reduce((sum, { answer }) => sum + answer.retries, 0),
          replayed: accepted.filter(({ answer }) => answer.headers.get('idempotent-replayed')).length,
          lost: inspection?.commands.lost ?? null,
          doubled: inspection?.commands.doubled ?? null,
          oversold: inspection ? findings.filter(({ what }) => what === 'oversold').length : null,
        }
      : null,
    events: inspection?.events.length ?? null,
    recovery: summarise(faults),
    recoveryByKind: Object.fromEntries(
      kinds.map((kind) => [kind, summarise(alone.filter((fault) => fault.kind === kind))]),
    ),
    views: inspection?.views ?? [],
    findings,
  }
}

function countByKind(faults: readonly FaultRecord[]): Record<string, Record<string, number>> {
  const counts: Record<string, Record<string, number>> = {}
  for (const { kind, victim } of faults) {
    const ofKind = counts[kind] ?? {}
    counts[kind] = { ...ofKind, [victim]: (ofKind[victim] ?? 0) + 1 }
  }
  return counts
}

function summarise(faults: readonly FaultRecord[]): RecoverySummary {
  const recoveries = faults.flatMap(({ recovery }) => recovery ?? [])
  return {
    faults: faults.length,
    acceptedMs: spreadOf(recoveries.flatMap(({ acceptedMs }) => acceptedMs ?? [])),
    zeroLagMs: spreadOf(recoveries.map(({ zeroLagMs }) => zeroLagMs)),
  }
}

/** By nearest rank. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null
  const sorted = values.map(Math.round).sort((one, other) => one - other)
  const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] as number
  return { p50: rank(0.5), p99: rank(0.99), max: rank(1) }
}
