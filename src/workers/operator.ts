import { dataPaths, viewPath } from '../config/paths.ts'
import { CqrsError } from '../kernel/errors.ts'
import { allUnits, findUnit } from '../kernel/unit.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { auditProjection } from '../operator/audit.ts'
import { readEvents } from '../operator/events.ts'
import { discardLetters, listGroups, listLetters, redriveLetters, showLetter } from '../operator/letters.ts'
import { systemStatus } from '../operator/status.ts'
import type { System } from '../operator/system.ts'
import type { ReadableView } from '../projection/contract.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import { directInput } from './http.ts'
import { type OfferedFunction, offer } from './offer.ts'
import type { StartRole } from './role.ts'

/** How long another worker may take to answer an operator's question, in milliseconds. */
const CALL_TIMEOUT_MS = 10_000

/** The use cases of operators, by the function that does them. */
const OPERATIONS: Readonly<Record<string, (system: System, input: unknown) => Promise<unknown>>> = {
  'ops::status': systemStatus,
  'ops::audit': auditProjection,
  'ops::events': readEvents,
  'ops::dlq-list': listLetters,
  'ops::dlq-groups': listGroups,
  'ops::dlq-show': showLetter,
  'ops::dlq-redrive': redriveLetters,
  'ops::dlq-discard': discardLetters,
}

/** What changes something is logged with who asked for it and why. */
const CHANGES = ['ops::dlq-redrive', 'ops::dlq-discard']

/** The operator's worker: an `ops::` function for every use case of src/operator. */
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
  const functions = Object.entries(OPERATIONS).map(
    ([id, operation]): OfferedFunction => ({
      id,
      description: 'A use case of operators.',
      async handle(payload) {
        const request = directInput(payload)
        const result = await operation(system, request)
        if (CHANGES.includes(id)) log.info({ operation: id, request, result }, 'operator')
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
