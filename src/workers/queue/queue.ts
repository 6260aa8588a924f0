import { existsSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { dataPaths } from '../../config/paths.ts'
import { systemId } from '../../config/system-id.ts'
import type { App } from '../../kernel/app.ts'
import { CqrsError } from '../../kernel/errors.ts'
import { allUnits } from '../../kernel/unit.ts'
import { DurableQueue } from '../../queue/queue.ts'
import { assertQueueName, parseQueueSettings } from '../../queue/settings.ts'
import { openSqliteQueueStore } from '../../queue/sqlite/store.ts'
import { markPath, readHighWater } from '../../sqlite/high-water.ts'
import { assertNotTaken, type OfferedFunction, offer } from '../link/offer.ts'
import { guarded, openOpsAccess } from '../operator/ops-access.ts'
import { PROJECTION_QUEUE } from '../projections/projection-queue.ts'
import type { RoleContext, StartRole } from '../role.ts'
import { parsePayload, queuePayload } from './queue-payloads.ts'
import { type QueueProvider, registerQueueProvider } from './queue-provider.ts'

/**
 * The queue worker: the queue provider of the engine, on the one store of the data folder. While another
 * process owns the store this one stands by, registers nothing, and takes over when that process ends.
 */
export const startQueue: StartRole = async (context) => {
  const standingBy = Promise.withResolvers<void>()
  const provider = provide(context, () => {
    context.stands('standing by')
    standingBy.resolve()
  })
  provider.then(
    () => context.stands('at work'),
    () => {},
  )
  await Promise.race([provider, standingBy.promise])
  // A standby that fails to take over is of no use: the process ends, and is started again.
  provider.catch((error) => {
    if (!context.stopping.aborted) context.fail(error)
  })
  return {
    async stop() {
      const started = await provider.catch(() => undefined)
      const unfinished = await started?.stop()
      if (unfinished)
        context.log.warn({ unfinished }, 'deliveries did not finish in time; they will be repeated')
    },
  }
}

/**
 * The queues that the program defines at its start: `default`, those of the configuration and those of the app.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if the configuration defines a queue wrongly
 */
export function queuesToDefine({ queue, file }: Pick<Config, 'queue' | 'file'>, app: App) {
  const { concurrency, maxRetries, backoffMs, timeoutMs } = queue
  const standard = { concurrency, max_retries: maxRetries, backoff_ms: backoffMs, timeout_ms: timeoutMs }
  const ofApp = Object.fromEntries(allUnits(app).map(({ name }) => [name, PROJECTION_QUEUE]))
  const given = Object.entries(queue.queues).map(([name, settings]) => {
    try {
      assertQueueName(name)
      if (Object.hasOwn(ofApp, name))
        throw new Error(`"${name}" is the queue of a projection; choose another name.`)
      if (name !== 'default') return [name, parseQueueSettings(name, settings)]
      return [name, parseQueueSettings(name, { ...standard, ...Object(settings) })]
    } catch (cause) {
      const message = `cqrs.queue.queues in ${file}: ${(cause as Error).message}`
      throw new CqrsError('CQRS_CONFIG_INVALID', message, { cause })
    }
  })
  return { default: standard, ...Object.fromEntries(given), ...ofApp }
}

async function provide(
  { app, config, iii, log, metrics, tracing, stopping }: RoleContext,
  onWaiting: () => void,
): Promise<QueueProvider> {
  const access = openOpsAccess(config, log)
  const system = systemId(config.data)
  // Before this process takes over the functions of iii's queue, which belong to nobody in particular.
  await assertNotTaken(iii, [{ id: PURGE }], log, system)
  const path = dataPaths(config.data).queue
  // The first open makes a new file and forgets the mark of the old one.
  const isGone = !existsSync(path) && readHighWater(path) > 0
  const store = await openSqliteQueueStore({
    folder: config.data,
    signal: stopping,
    onWaiting: (pid) => {
      log.info({ pid }, 'another process owns the queue store; standing by')
      onWaiting()
    },
  })
  const { memoryMessages, memoryCharacters, memoryNumbers, maxDataLength } = config.queue
  const queues = queuesToDefine(config, app)
  const memory = { messages: memoryMessages, bytes: memoryCharacters, tracked: memoryNumbers }
  const queue = await DurableQueue.open({ store, log, queues, maxDataLength, memory })
  log.info({ store: path }, 'the queue is open')
  if (isGone) {
    log.warn(
      { store: path },
      `the queue begins empty: ${path} was gone, and ${markPath(path)} said that messages had been stored. Projections lose ` +
        'nothing by it. If nobody removed it on purpose, stop the system and put it back: messages and dead letters of other ' +
        'workers were in it',
    )
  }
  const provider = registerQueueProvider({
    iii,
    queue,
    log,
    metrics,
    tracing,
    drainMs: config.queue.drainMs,
  })
  const operations = guarded([purgeFunction(queue)], access)
  const offered = await offer(iii, operations, log, system)
  return {
    stop() {
      offered.unregister()
      return provider.stop()
    },
  }
}

/** The function of {@link purgeFunction}. */
const PURGE = 'ops::queues::purge'

/**
 * Deletes what waits in a queue. iii has no such function, so it belongs to the operator's functions and requires the
 * token.
 */
function purgeFunction(queue: DurableQueue): OfferedFunction {
  return {
    id: PURGE,
    description: 'Deletes every message that waits in a queue; dead letters stay.',
    async handle(payload) {
      const name = parsePayload(PURGE, queuePayload, payload)
      return { queue: name, purged: await queue.purge(name) }
    },
  }
}
