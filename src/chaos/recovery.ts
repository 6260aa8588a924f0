import { dataPaths, viewPath } from '../config/paths.ts'
import type { Position } from '../kernel/position.ts'
import { allUnits } from '../kernel/unit.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import { acceptedAt } from './client.ts'
import type { Load } from './load.ts'
import type { StormSystem } from './system.ts'
import { until } from './until.ts'

/** How long recovery took, in milliseconds from the moment when the cause was gone. */
export interface Recovery {
  /** Until a command that was sent after that moment was accepted; undefined without a load. */
  readonly acceptedMs: number | undefined
  /** Until every view had reached that command; without a load, everything that was in the log when the wait began. */
  readonly zeroLagMs: number
}

/**
 * Watches a system recover without asking its workers or its engine: from the stores, and from the answers to the load.
 */
export class RecoveryWatch {
  readonly #load: Load | undefined
  readonly #ended: AbortSignal
  readonly #log: ReturnType<typeof openSqliteEventLog>
  readonly #views: readonly {
    readonly name: string
    readonly view: ReturnType<typeof openSqliteViewReader>
  }[]

  constructor({ data, app, ended }: Pick<StormSystem, 'data' | 'app' | 'ended'>, load: Load | undefined) {
    this.#load = load
    this.#ended = ended
    this.#log = openSqliteEventLog({ path: dataPaths(data).events })
    this.#views = allUnits(app).map(({ name, projection, partition }) => ({
      name,
      view: openSqliteViewReader(viewPath(data, projection.name, { partition }), projection),
    }))
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
        Math.max(1_000, since + withinMs - performance.now()),
        this.#ended,
      )
    }
    return {
      acceptedMs: accepted && accepted.at - since,
      zeroLagMs: Math.max(0, performance.now() - since),
    }
  }

  async close(): Promise<void> {
    for (const { view } of this.#views) await view.close()
    await this.#log.close()
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
