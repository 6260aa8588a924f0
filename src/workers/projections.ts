import type { IIIClient } from 'iii-sdk'
import pRetry from 'p-retry'
import { dataPaths, viewPath } from '../config/paths.ts'
import { toPosition } from '../kernel/position.ts'
import type { Effect, ProjectionDefinition } from '../kernel/projection.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { EffectSender, type SendOutcome } from '../projection/effect-sender.ts'
import { Projector } from '../projection/projector.ts'
import { ProjectionRunner } from '../projection/runner.ts'
import { openSqliteView } from '../projection/sqlite/view-store.ts'
import { Turns } from '../projection/turns.ts'
import { assertLogReachesViews } from './log-reaches-views.ts'
import { type OfferedFunction, offer } from './offer.ts'
import { type LiveView, parkedOperations } from './parked-operations.ts'
import { PROJECTION_QUEUE } from './projection-queue.ts'
import type { RoleContext, StartRole } from './role.ts'

/** Documents of one projection that are kept in memory between batches. */
const DOCUMENT_CACHE = 10_000

/** How long one effect may take to be sent, in milliseconds. */
const EFFECT_TIMEOUT_MS = 5_000

/**
 * The projections worker: folds the log into every view of the app, woken by one queue per projection
 * and by its own sweep, and sends the effects of reactors.
 */
export const startProjections: StartRole = async (context) => {
  const { app, config, iii, log } = context
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  await assertLogReachesViews(app, config.data, events)
  const live = new Map<string, LiveView>()
  const turns = new Turns()
  const functions: OfferedFunction[] = []
  for (const definition of app.projections.values()) {
    const view = openView(definition, events, turns, context)
    live.set(definition.name, view)
    const { kind, name, functionId } = definition
    const description = `Applies the log to the ${kind} ${name} up to a position.`
    functions.push({ id: functionId, description, handle: (payload) => apply(view, events, payload) })
    void view.runner.start()
    void defineQueue(name, context)
  }
  const offered = await offer(iii, [...functions, ...parkedOperations(live)], log)
  log.info({ projections: [...live.keys()] }, 'projections are live')

  return {
    async stop() {
      offered.unregister()
      await Promise.all([...live.values()].map(({ runner }) => runner.stop()))
      for (const { view } of live.values()) await view.close()
      await events.close()
    },
  }
}

function openView(
  definition: ProjectionDefinition,
  events: EventLog,
  turns: Turns,
  context: RoleContext,
): LiveView {
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
    turns,
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
    now,
    log,
    signal: stopping,
  })
  return {
    view,
    effects,
    runner: new ProjectionRunner({ projector, view, effects, sweepIntervalMs, now, log }),
  }
}

/** A queue message says how far the log is; a call without a position means "up to the head". */
async function apply({ runner }: LiveView, events: EventLog, payload: unknown) {
  const { to } = (payload ?? {}) as { to?: unknown }
  const target = to === undefined ? await events.head() : toPosition(to)
  await runner.advanceTo(target)
  return { position: target }
}

async function send(iii: IIIClient, effect: Effect, idempotencyKey: string): Promise<SendOutcome> {
  const data = { ...effect.data, idempotencyKey }
  const [function_id, payload] =
    effect.kind === 'publish' ? ['publish', { topic: effect.topic, data }] : [effect.functionId, data]
  try {
    await iii.trigger({ function_id, payload, timeoutMs: EFFECT_TIMEOUT_MS })
    return 'sent'
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'function_not_found' || code === 'invocation_stopped') return 'unreachable'
    if (code === 'TIMEOUT' && !(await engineAnswers(iii))) return 'unreachable'
    throw error
  }
}

/** Tells a function that is too slow from an engine that is away: to the SDK both are a timeout. */
async function engineAnswers(iii: IIIClient): Promise<boolean> {
  const call = { function_id: 'engine::workers::list', payload: {}, timeoutMs: EFFECT_TIMEOUT_MS }
  return iii.trigger(call).then(
    () => true,
    () => false,
  )
}

/** Our own queue worker knows the queue already; another provider is told, as soon as it is there. */
async function defineQueue(queue: string, { iii, log, stopping }: RoleContext): Promise<void> {
  const call = {
    function_id: 'queue::define',
    payload: { queue, config: PROJECTION_QUEUE },
    timeoutMs: 5_000,
  }
  try {
    await pRetry(() => iii.trigger(call), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 100,
      maxTimeout: 5_000,
      randomize: true,
      signal: stopping,
    })
  } catch (error) {
    if (!stopping.aborted)
      log.error({ err: error, queue }, 'The queue could not be defined; its defaults apply')
  }
}
