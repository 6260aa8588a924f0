import pRetry from 'p-retry'
import { dataPaths } from '../../config/paths.ts'
import { systemId } from '../../config/system-id.ts'
import { openSqliteControl } from '../../control/sqlite/control-store.ts'
import { isOlder } from '../../generations/coordinator.ts'
import { allUnits, type ProjectionUnit } from '../../kernel/unit.ts'
import { openSqliteEventLog } from '../../log/sqlite/event-log.ts'
import { Turns } from '../../projection/turns.ts'
import { openOffering, type Registration } from '../link/offer.ts'
import { guarded, openOpsAccess } from '../operator/ops-access.ts'
import type { RoleContext, StartRole } from '../role.ts'
import { adoptViews, assertCodeIsNotOlder } from './adopt.ts'
import { tellOfChangedFolds } from './changed-folds.ts'
import { tellOfGivenUpViews } from './given-up-views.ts'
import { forgetLaterSwaps } from './later-swaps.ts'
import { applyUpTo, openLiveUnit } from './live-unit.ts'
import { assertLogReachesViews } from './log-reaches-views.ts'
import { PROJECTION_QUEUE } from './projection-queue.ts'
import { spread } from './spread.ts'
import { seatLock, tryOwnUnit } from './unit-locks.ts'
import { unitOperations } from './unit-operations.ts'
import { setAsideUnknownViews } from './unknown-views.ts'

/**
 * The projections worker: folds the log into the views of the app, and sends the effects of reactors. It is woken by
 * one queue per unit (a projection, or a partition of one) and by its own sweep. All projections workers of a data
 * folder share the units among themselves.
 */
export const startProjections: StartRole = async (context) => {
  const { app, config, iii, log, stopping } = context
  const access = openOpsAccess(config, log)
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const control = openSqliteControl({ path: dataPaths(config.data).control })
  await adoptViews(app, config.data, control)
  await setAsideUnknownViews(app, config.data, control, log)
  await forgetLaterSwaps(app, config.data, control, log)
  await assertCodeIsNotOlder(app, control)
  await assertLogReachesViews(app, config.data, events)
  try {
    await tellOfChangedFolds(app, control, log)
    await tellOfGivenUpViews(app, config.data, control, log)
  } catch (error) {
    log.warn({ err: error }, 'The app could not be compared with the one that ran before')
  }
  const turns = new Turns()
  const offering = openOffering(iii, log, systemId(config.data))
  const units = new Map(allUnits(app).map((unit) => [unit.name, unit]))
  const ending = new AbortController()
  const offers = new Set<Promise<Registration>>()
  const waitingFor = new Map<string, string>()
  /** Logs why a projection is left alone, once for each new reason. */
  const leave = (projection: string, reason: string) => {
    if (waitingFor.get(projection) !== reason) log.info({ projection }, reason)
    waitingFor.set(projection, reason)
  }

  const share = spread({
    units: [...units.keys()],
    async own(name) {
      const unit = units.get(name) as ProjectionUnit
      const { projection } = unit
      const isSuperseded = async () => isOlder(projection, await control.projection(projection.name))
      // This code could not advance the version that serves, and would keep away the processes that can.
      if (await isSuperseded()) {
        leave(
          projection.name,
          'the active version of this view is later than the one that this code defines; not working on it',
        )
        return undefined
      }
      const outcome = tryOwnUnit(config.data, unit)
      if (outcome.kind === 'split otherwise')
        leave(
          projection.name,
          `process ${outcome.pid ?? '?'} works on this view with code that defines other partitions; waiting until it has ended`,
        )
      if (outcome.kind !== 'owned') return undefined
      waitingFor.delete(projection.name)
      if (!(await isSuperseded())) return outcome.lock
      outcome.lock.release()
      return undefined
    },
    seatLock: (seat) => seatLock(config.data, [...units.values()], seat),
    intervalMs: config.standbyIntervalMs,
    signal: AbortSignal.any([stopping, ending.signal]),
    async begin(name) {
      const unit = units.get(name) as ProjectionUnit
      const live = await openLiveUnit(unit, { events, control, turns, context })
      const { kind } = unit.projection
      // Not waited for: the view is kept up to date from the log even while the engine is away.
      const offered = offering.add([
        {
          id: unit.functionId,
          description: `Applies the log to the ${kind} ${name} up to a position.`,
          handle: (payload) => applyUpTo(live, events, payload),
        },
        ...guarded(unitOperations(live), access),
      ])
      offers.add(offered)
      offered.catch((error) => context.fail(error))
      void defineQueue(name, context)
      return {
        async stop() {
          const registration = await offered.catch(() => undefined)
          registration?.unregister()
          offers.delete(offered)
          await live.close()
        },
      }
    },
    onStandby() {
      context.stands('standing by')
      log.info('other processes work on all projections of this data folder; standing by')
    },
    onChange(projections) {
      context.stands(projections.length > 0 ? 'at work' : 'standing by', projections)
      log.info({ projections }, 'projections are live in this process')
    },
  })
  try {
    await share.settled
    await Promise.all(offers)
  } catch (error) {
    ending.abort()
    await share.stop()
    throw error
  }
  share.done.catch((error) => {
    if (!stopping.aborted) context.fail(error)
  })

  return {
    async stop() {
      ending.abort()
      offering.close()
      await share.stop()
      await control.close()
      await events.close()
    },
  }
}

/**
 * Defines the queue for a queue provider other than our own, as soon as there is one. Our own queue worker knows the
 * queue already.
 */
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
