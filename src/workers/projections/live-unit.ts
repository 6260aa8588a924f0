import type { Logger } from 'pino'
import type { Config } from '../../config/config.ts'
import { dataPaths } from '../../config/paths.ts'
import type { ControlStore } from '../../control/contract.ts'
import type { ActiveView } from '../../generations/active-view.ts'
import { Coordinator } from '../../generations/coordinator.ts'
import type { BuildOrder, StartBuild } from '../../generations/place.ts'
import { UnitGenerations, type UnitGenerationsOptions } from '../../generations/unit-generations.ts'
import { toPosition } from '../../kernel/position.ts'
import { steadyClock } from '../../kernel/steady-clock.ts'
import type { ProjectionUnit } from '../../kernel/unit.ts'
import type { EventLog } from '../../log/contract.ts'
import type { ViewStore } from '../../projection/contract.ts'
import { EffectSender } from '../../projection/effect-sender.ts'
import { Projector } from '../../projection/projector.ts'
import type { RetryPolicy } from '../../projection/retry-policy.ts'
import { ProjectionRunner } from '../../projection/runner.ts'
import type { Turns } from '../../projection/turns.ts'
import { startBuildThread } from '../builds/start-build.ts'
import type { RoleContext } from '../role.ts'
import { OtherCommands } from './other-commands.ts'
import { parkedLines } from './parked-lines.ts'
import { repeat } from './repeat.ts'
import { sendEffect } from './send-effect.ts'
import { compareInThread, placePath, sqliteViewStorage } from './view-storage.ts'

/** How many documents of one unit are kept in memory between batches. */
const DOCUMENT_CACHE = 10_000

/** How often the control store is checked for something to do, in milliseconds. */
const CONTROL_INTERVAL_MS = 100

/** The longest time between two checks while something cannot be done, in milliseconds. */
const CONTROL_CAP_MS = 2_000

const now = () => Date.now()

/** A unit that this process keeps up to date. */
export interface LiveUnit {
  readonly unit: ProjectionUnit
  /** The view of the active generation. */
  readonly view: ViewStore
  readonly runner: ProjectionRunner
  /** Finishes the batch and the effect that are under way and closes the views. */
  close(): Promise<void>
}

export interface UnitContext {
  readonly events: EventLog
  readonly control: ControlStore
  readonly turns: Turns
  readonly context: RoleContext
}

/** Opens the views of a unit, and begins to keep them up to date with the log. */
export async function openLiveUnit(unit: ProjectionUnit, within: UnitContext): Promise<LiveUnit> {
  const { events, control, context } = within
  const { config, metrics } = context
  const { batchSize, sweepIntervalMs } = config.projections
  const { projection, partition } = unit
  const log = context.log.child({ projection: unit.name })
  const closing = new AbortController()
  const steady = steadyClock(now)
  let isLiveBehind = false
  const generations = new UnitGenerations({
    unit,
    control,
    events,
    storage: sqliteViewStorage(config.data),
    projector: projectorsOf(unit, within, steady, log),
    startBuild: buildInThread(context, () => isLiveBehind),
    now: steady,
    log,
  })
  const { view } = generations
  const effects = effectsOf(unit, view, context, closing.signal, log)
  const runner = new ProjectionRunner({
    projector: generations,
    view,
    effects,
    sweepIntervalMs,
    now: steady,
    log,
    onAdvance: (path) => metrics.advanced(unit.name, path),
  })
  const coordinator =
    partition.index === 0
      ? new Coordinator({
          projection,
          control,
          storage: sqliteViewStorage(config.data),
          compare: (before, after) => compareInThread(config.data, projection.name, before, after),
          log,
        })
      : undefined
  const look = async () => {
    isLiveBehind = (await generations.lagAt(await events.head())) > batchSize
    if (!(await generations.isStale())) return
    await runner.inTurn(() => generations.reconcile())
    await runner.catchUp()
  }
  await runner.inTurn(() => generations.reconcile())
  void runner.start()
  const keepDoing = (what: string, work: () => Promise<void>) =>
    repeat(work, {
      intervalMs: CONTROL_INTERVAL_MS,
      capMs: CONTROL_CAP_MS,
      signal: closing.signal,
      onFailure: (error) => log.error({ err: error }, `The generations could not be ${what}; trying again`),
      onRecovery: () => log.info(`The generations are ${what} again`),
    })
  // In separate loops: if nothing can be decided for the view as a whole, each unit still does its own work.
  const looking = [
    keepDoing('brought up to date', look),
    ...(coordinator ? [keepDoing('coordinated', () => coordinator.reconcile())] : []),
  ]
  return {
    unit,
    view,
    runner,
    async close() {
      closing.abort()
      await Promise.all(looking)
      await runner.stop()
      await generations.close()
    },
  }
}

/** Makes the projector of each generation of a unit. */
function projectorsOf(
  { name, projection, partition }: ProjectionUnit,
  { events, turns, context }: UnitContext,
  steady: () => number,
  log: Logger,
): UnitGenerationsOptions['projector'] {
  const { app, config, metrics, tracing } = context
  const { batchSize, batchBytes, cachedBytes } = config.projections
  const applying = tracing.applying(name)
  const logParked = parkedLines(name, log, steady)
  return (view, givenUp, serves) =>
    new Projector({
      projection,
      partition,
      catalog: app.events,
      log: events,
      view,
      policy: policyOf(config),
      turns,
      batchSize,
      batchBytes,
      documentCache: { documents: DOCUMENT_CACHE, bytes: cachedBytes },
      now,
      steady,
      random: Math.random,
      givenUp,
      // Only the generation that serves is counted. Others that are kept up to date beside it apply the same events
      // again.
      batchBegins: () => (serves() ? metrics.batch(name) : undefined),
      // The same holds for log lines: an event that another generation could not apply is not logged, because nobody
      // reads that generation yet.
      applying: () => {
        const record = applying?.()
        return (applied, parked) => {
          record?.(applied, parked)
          if (serves()) logParked(parked)
        }
      },
    })
}

/** Sends the effects of whichever generation is active, through the engine. */
function effectsOf(
  { name }: ProjectionUnit,
  view: ActiveView,
  context: RoleContext,
  closing: AbortSignal,
  log: Logger,
): EffectSender {
  const { app, config, metrics, tracing, stopping } = context
  const {
    maxStops,
    effectsAtOnce: atOnce,
    effectTimeoutMs: timeoutMs,
    absentCommandMs: limitMs,
  } = config.projections
  const iii = context.inFlight.over(context.iii)
  const others = new OtherCommands({
    commands: app.commands,
    limitMs,
    monotonic: () => performance.now(),
    log,
  })
  return new EffectSender({
    view,
    async send(effect, idempotencyKey) {
      try {
        const send = () => sendEffect(iii, effect, idempotencyKey, { timeoutMs, others })
        const outcome = await tracing.sending({ effect, idempotencyKey }, send)
        metrics.effect(name, outcome)
        return outcome
      } catch (error) {
        metrics.effect(name, 'failed')
        throw error
      }
    },
    atOnce,
    ...policyOf(config),
    maxStops,
    now,
    log,
    isPaused: () => view.isPaused,
    signal: AbortSignal.any([stopping, closing]),
  })
}

/** How parked events and effects are tried again. */
function policyOf({ projections }: Config): RetryPolicy {
  const { maxAttempts, retryBaseMs: baseMs, retryCapMs: capMs } = projections
  return { maxAttempts, baseMs, capMs }
}

function buildInThread({ config, log }: RoleContext, isLiveBehind: () => boolean): StartBuild {
  const { batchSize, batchBytes, buildDocuments, buildBytes, buildHeldBackMs } = config.projections
  return ({ place, until, owing, takesOver }: BuildOrder, events) =>
    startBuildThread({
      order: {
        app: config.app,
        projection: place.projection.name,
        partition: place.partition,
        log: dataPaths(config.data).events,
        view: placePath(config.data, place),
        until,
        owing: owing.map((one) => ({ path: placePath(config.data, one), version: one.version })),
        takesOver,
        policy: policyOf(config),
        batchSize,
        batchBytes,
        cachedDocuments: buildDocuments,
        cachedBytes: buildBytes,
        heldBackMs: buildHeldBackMs,
      },
      events,
      hangMs: config.hangMs,
      isLiveBehind,
      log: log.child({ projection: place.projection.name, generation: place.generation }),
    })
}

/** Applies the log up to the position that a queue message names; a call without a position means "up to the head". */
export async function applyUpTo({ runner }: LiveUnit, events: EventLog, payload: unknown) {
  const { to } = (payload ?? {}) as { to?: unknown }
  const target = to === undefined ? await events.head() : toPosition(to)
  await runner.advanceTo(target)
  return { position: target }
}
