import { dataPaths } from '../config/paths.ts'
import type { Position } from '../kernel/position.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { acceptedAt } from './client.ts'
import { type OpenUnit, openServing } from './inspect.ts'
import type { Load } from './load.ts'
import { VICTIMS, type Victim } from './schedule.ts'
import type { StormSystem } from './system.ts'
import { until } from './until.ts'

/** How long recovery took, in milliseconds from the moment when the cause was gone. */
export interface Recovery {
  /** Until a command that was sent after that moment was accepted; undefined without a load. */
  readonly acceptedMs: number | undefined
  /**
   * Until every view had reached that command; without a load, everything that was in the log when the wait began, and
   * until every process runs again.
   */
  readonly zeroLagMs: number
}

/** What is known of a system that is watched. */
type Watched = Pick<StormSystem, 'data' | 'app' | 'ended' | 'pidsOf'>

/**
 * Watches a system recover without asking its workers or its engine: from the stores, and from the answers to the load.
 * Without a load nothing in the stores moves, so that views are at the head whoever is dead; then its processes count.
 */
export class RecoveryWatch {
  readonly #load: Load | undefined
  readonly #ended: AbortSignal
  readonly #log: EventLog
  readonly #views: readonly OpenUnit[]
  readonly #system: Watched
  /** How many processes each victim had at the beginning. */
  readonly #ran: ReadonlyMap<Victim, number>

  private constructor(system: Watched, load: Load | undefined, views: readonly OpenUnit[]) {
    const { data, ended } = system
    this.#system = system
    this.#load = load
    this.#ended = ended
    this.#ran = new Map(VICTIMS.map((victim) => [victim, system.pidsOf(victim).length]))
    this.#log = openSqliteEventLog({ path: dataPaths(data).events })
    this.#views = views
  }

  /** Watches the generations that serve now. */
  static async open(system: Watched, load: Load | undefined): Promise<RecoveryWatch> {
    return new RecoveryWatch(system, load, await openServing(system.app, system.data))
  }

  /**
   * Waits until the system has recovered from faults whose cause was gone at `since` (by `performance.now()`).
   *
   * @throws Error after `withinMs`, saying what is missing; at once if the system has ended
   */
  async recovered(since: number, withinMs: number): Promise<Recovery> {
    const accepted = this.#load && (await this.#acceptedAfter(this.#load, since, withinMs))
    const target = accepted?.position ?? (await this.#log.head())
    for (const { name, view } of this.#views) {
      await until(
        `${name} has position ${target}`,
        async () => (await view.position()) >= target,
        leastUntil(since + withinMs),
        this.#ended,
      )
    }
    if (!this.#load) await this.#processesRun(since, withinMs)
    return {
      acceptedMs: accepted && accepted.at - since,
      zeroLagMs: Math.max(0, performance.now() - since),
    }
  }

  async close(): Promise<void> {
    for (const { view } of this.#views) await view.close()
    await this.#log.close()
  }

  async #processesRun(since: number, withinMs: number): Promise<void> {
    for (const [victim, before] of this.#ran) {
      const areBack = () => this.#system.pidsOf(victim).length >= before
      await until(`the ${victim} process runs again`, areBack, leastUntil(since + withinMs), this.#ended)
    }
  }

  /** The first command that was sent after a moment and accepted. */
  async #acceptedAfter(
    load: Load,
    since: number,
    withinMs: number,
  ): Promise<{ position: Position; at: number }> {
    let seen = load.settled.length
    // Skips commands that were settled before `since`; they cannot have been sent after it. Answers are in the order of
    // arrival.
    while (seen > 0 && (load.settled[seen - 1]?.answer.answeredAt ?? 0) > since) seen -= 1
    return until(
      'a command is accepted',
      () => {
        for (; seen < load.settled.length; seen += 1) {
          const { answer } = load.settled[seen] ?? {}
          if (!answer || answer.status >= 300 || answer.sentAt < since) continue
          return { position: acceptedAt(answer), at: answer.answeredAt }
        }
        return undefined
      },
      withinMs,
      this.#ended,
    )
  }
}

/** The time until a moment, at least a second; in milliseconds. */
function leastUntil(end: number): number {
  return Math.max(1_000, end - performance.now())
}
