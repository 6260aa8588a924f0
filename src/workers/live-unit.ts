import { viewPath } from '../config/paths.ts'
import { toPosition } from '../kernel/position.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import type { ViewStore } from '../projection/contract.ts'
import { EffectSender } from '../projection/effect-sender.ts'
import { Projector } from '../projection/projector.ts'
import { ProjectionRunner } from '../projection/runner.ts'
import { openSqliteView } from '../projection/sqlite/view-store.ts'
import { steadyClock } from '../projection/steady-clock.ts'
import type { Turns } from '../projection/turns.ts'
import type { RoleContext } from './role.ts'
import { sendEffect } from './send-effect.ts'

/** Documents of one unit that are kept in memory between batches. */
const DOCUMENT_CACHE = 10_000

/** A unit that this process keeps up to date. */
export interface LiveUnit {
  readonly unit: ProjectionUnit
  readonly view: ViewStore
  readonly effects: EffectSender
  readonly runner: ProjectionRunner
  /** Finishes the batch and the effect that are under way and closes the view. */
  close(): Promise<void>
}

/** Opens the view of a unit and begins to keep it at the head of the log. */
export function openLiveUnit(
  unit: ProjectionUnit,
  { events, turns, context }: { events: EventLog; turns: Turns; context: RoleContext },
): LiveUnit {
  const { app, config, iii, metrics, stopping } = context
  const {
    batchSize,
    maxAttempts,
    retryBaseMs: baseMs,
    retryCapMs: capMs,
    sweepIntervalMs,
  } = config.projections
  const { projection, partition } = unit
  const log = context.log.child({ projection: unit.name })
  const view = openSqliteView(viewPath(config.data, projection.name, { partition }), projection)
  const closing = new AbortController()
  const now = () => Date.now()
  const steady = steadyClock(now)
  const projector = new Projector({
    projection,
    partition,
    catalog: app.events,
    log: events,
    view,
    policy: { maxAttempts, baseMs, capMs },
    turns,
    batchSize,
    documentCacheSize: DOCUMENT_CACHE,
    now,
    steady,
    random: Math.random,
    batchBegins: () => metrics.batch(unit.name),
  })
  const effects = new EffectSender({
    view,
    async send(effect, idempotencyKey) {
      try {
        const outcome = await sendEffect(iii, effect, idempotencyKey)
        metrics.effect(unit.name, outcome)
        return outcome
      } catch (error) {
        metrics.effect(unit.name, 'failed')
        throw error
      }
    },
    maxAttempts,
    baseMs,
    capMs,
    now,
    log,
    signal: AbortSignal.any([stopping, closing.signal]),
  })
  const runner = new ProjectionRunner({
    projector,
    view,
    effects,
    sweepIntervalMs,
    now: steady,
    log,
    onAdvance: (path) => metrics.advanced(unit.name, path),
  })
  void runner.start()
  return {
    unit,
    view,
    effects,
    runner,
    async close() {
      closing.abort()
      await runner.stop()
      await view.close()
    },
  }
}

/** A queue message says how far the log is; a call without a position means "up to the head". */
export async function applyUpTo({ runner }: LiveUnit, events: EventLog, payload: unknown) {
  const { to } = (payload ?? {}) as { to?: unknown }
  const target = to === undefined ? await events.head() : toPosition(to)
  await runner.advanceTo(target)
  return { position: target }
}
