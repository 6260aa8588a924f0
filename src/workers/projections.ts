import type { IIIClient } from 'iii-sdk'
import pRetry from 'p-retry'
import { dataPaths, viewPath } from '../config/paths.ts'
import { toPosition } from '../kernel/position.ts'
import type { Effect, ProjectionDefinition } from '../kernel/projection.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import type { ViewStore } from '../projection/contract.ts'
import { EffectSender } from '../projection/effect-sender.ts'
import { Projector } from '../projection/projector.ts'
import { ProjectionRunner } from '../projection/runner.ts'
import { openSqliteView } from '../projection/sqlite/view-store.ts'
import { registerParkedOperations } from './parked-operations.ts'
import type { RoleContext, StartRole } from './role.ts'

/** Documents of one projection that are kept in memory between batches. */
const DOCUMENT_CACHE = 10_000

/** How long one effect may take to be sent, in milliseconds. */
const EFFECT_TIMEOUT_MS = 5_000

/** A projection at work. */
export interface LiveProjection {
  readonly definition: ProjectionDefinition
  readonly view: ViewStore
  readonly runner: ProjectionRunner
}

/**
 * The projections worker: folds the log into every view of the app, woken by one queue per projection
 * and by its own sweep, and sends the effects of reactors.
 */
export const startProjections: StartRole = async (context) => {
  const { app, config, iii, log } = context
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const live = [...app.projections.values()].map((definition) => start(definition, events, context))
  const registered = [
    ...live.map(({ definition, runner }) =>
      iii.registerFunction(definition.functionId, (payload) => apply(runner, events, payload), {
        description: `Applies the log to the ${definition.kind} ${definition.name} up to a position.`,
      }),
    ),
    ...registerParkedOperations(iii, live),
  ]
  for (const { definition, runner } of live) {
    void runner.start()
    void defineQueue(definition.name, context)
  }
  log.info({ projections: live.map(({ definition }) => definition.name) }, 'projections are live')

  return {
    async stop() {
      for (const registration of registered) registration.unregister()
      await Promise.all(live.map(({ runner }) => runner.stop()))
      for (const { view } of live) await view.close()
      await events.close()
    },
  }
}

function start(definition: ProjectionDefinition, events: EventLog, context: RoleContext): LiveProjection {
  const { app, config, iii, stopping } = context
  const {
    batchSize,
    maxAttempts,
    retryBaseMs: baseMs,
    retryCapMs: capMs,
    sweepIntervalMs,
  } = config.projections
  const log = context.log.child({ projection: definition.name })
  const view = openSqliteView(viewPath(config.data, definition.name), definition)
  const now = () => Date.now()
  const projector = new Projector({
    projection: definition,
    catalog: app.events,
    log: events,
    view,
    policy: { maxAttempts, baseMs, capMs },
    batchSize,
    documentCacheSize: DOCUMENT_CACHE,
    now,
    random: Math.random,
  })
  const effects = new EffectSender({
    view,
    send: (effect, idempotencyKey) => send(iii, effect, idempotencyKey),
    maxAttempts,
    baseMs,
    capMs,
    log,
    signal: stopping,
  })
  return {
    definition,
    view,
    runner: new ProjectionRunner({ projector, view, effects, sweepIntervalMs, now, log }),
  }
}

/** A queue message says how far the log is; a call without a position means "up to the head". */
async function apply(runner: ProjectionRunner, events: EventLog, payload: unknown) {
  const { to } = (payload ?? {}) as { to?: unknown }
  const target = to === undefined ? await events.head() : toPosition(to)
  await runner.advanceTo(target)
  return { position: target }
}

async function send(iii: IIIClient, effect: Effect, idempotencyKey: string): Promise<void> {
  const data = { ...effect.data, idempotencyKey }
  const [function_id, payload] =
    effect.kind === 'publish' ? ['publish', { topic: effect.topic, data }] : [effect.functionId, data]
  await iii.trigger({ function_id, payload, timeoutMs: EFFECT_TIMEOUT_MS })
}

/**
 * One message of a projection's queue is applied at a time: it brings the view to the head, so more at once
 * would only wait. The queue worker may come up later than this one.
 */
async function defineQueue(queue: string, { iii, log, stopping }: RoleContext): Promise<void> {
  const config = { type: 'standard', concurrency: 1, max_retries: 10, backoff_ms: 200 }
  try {
    await pRetry(
      () => iii.trigger({ function_id: 'queue::define', payload: { queue, config }, timeoutMs: 5_000 }),
      {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: 100,
        maxTimeout: 5_000,
        randomize: true,
        signal: stopping,
      },
    )
  } catch (error) {
    if (!stopping.aborted)
      log.error({ err: error, queue }, 'The queue could not be defined; its defaults apply')
  }
}
