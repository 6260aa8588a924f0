import { dataPaths, viewPath } from '../config/paths.ts'
import { CqrsError } from '../kernel/errors.ts'
import { allUnits, findUnit } from '../kernel/unit.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { OPERATIONS } from '../operator/operations.ts'
import type { System } from '../operator/system.ts'
import type { ReadableView } from '../projection/contract.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import { directInput } from './http.ts'
import { type OfferedFunction, offer } from './offer.ts'
import type { StartRole } from './role.ts'

/** How long another worker may take to answer an operator's question, in milliseconds. */
const CALL_TIMEOUT_MS = 10_000

/** The operator's worker: an `ops::` function for every row of {@link OPERATIONS}. */
export const startOperator: StartRole = async ({ app, config, iii, log }) => {
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const views = new Map(
    allUnits(app).map(({ name, projection, partition }) => [
      name,
      openSqliteViewReader(viewPath(config.data, projection.name, { partition }), projection),
    ]),
  )
  const view = (unit: string) => views.get(findUnit(app, unit).name) as ReadableView
  const system: System = {
    app,
    log: events,
    standing: async (unit) => view(unit).standing(),
    marks: async (unit, after) => view(unit).marks(after),
    async call(function_id, payload) {
      try {
        return await iii.trigger({ function_id, payload, timeoutMs: CALL_TIMEOUT_MS })
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'function_not_found') throw error
        const role = /^ops::(parked|effects)::/.test(function_id) ? 'projections' : 'queue'
        const message = `No worker offers ${function_id}; start one with "cqrs worker ${role}".`
        throw new CqrsError('CQRS_ENGINE_UNREACHABLE', message, { cause: error })
      }
    },
    now: () => new Date(),
  }
  const functions = OPERATIONS.map(
    ({ id, what, scope, run }): OfferedFunction => ({
      id,
      description: what,
      async handle(payload) {
        const request = directInput(payload)
        const result = await run(system, request, { by: 'operator', from: 'worker' })
        if (scope === 'change') log.info({ operation: id, request, result }, 'operator')
        return result
      },
    }),
  )
  const offered = await offer(iii, functions, log)
  return {
    async stop() {
      offered.unregister()
      for (const view of views.values()) view.close()
      await events.close()
    },
  }
}
