import { open, statfs } from 'node:fs/promises'
import type { Logger } from 'pino'
import { z } from 'zod'
import { idOnEngine, NO_GUEST, routeOnEngine } from '../../config/guest.ts'
import { dataPaths } from '../../config/paths.ts'
import { systemId } from '../../config/system-id.ts'
import { findUnit } from '../../kernel/unit.ts'
import { openSqliteEventLog } from '../../log/sqlite/event-log.ts'
import { mayChange, perform } from '../../operator/actions.ts'
import type { Operation, Operator } from '../../operator/operation.ts'
import { OPERATIONS } from '../../operator/operations.ts'
import { seenBehind } from '../../operator/seen-behind.ts'
import { openSqliteActionStore } from '../../operator/sqlite/action-store.ts'
import type { System } from '../../operator/system.ts'
import { directInput, isHttpRequest } from '../link/http.ts'
import { type OfferedFunction, offer } from '../link/offer.ts'
import { toRemote } from '../link/remote-error.ts'
import { openReaders } from '../projections/open-readers.ts'
import { findOtherSplit } from '../projections/unit-locks.ts'
import { diskUse } from '../projections/view-storage.ts'
import type { StartRole } from '../role.ts'
import { type OpsAccess, openOpsAccess, ownCredentials, tokenIn } from './ops-access.ts'
import { CALL_TIMEOUT_MS, caller } from './ops-calls.ts'
import { CONSOLE, consoleFunctions } from './ops-console.ts'
import { exportFunction } from './ops-export.ts'
import { bearerToken, operatorOf, overHttp, routeOf } from './ops-http.ts'
import { type PagesOptions, pages } from './ops-pages.ts'
import { processesOf } from './ops-processes.ts'
import { marksOf, standingOf } from './unit-standing.ts'

/**
 * What a caller over the engine says about itself, besides its token, and how it wants its answer. An engine may
 * rewrite JSON on the way: iii 0.22 sorts keys, and changes the last digit of some numbers with 16 or more digits. A
 * string arrives unchanged. So for `answer: 'text'` the result is sent as a string that holds the JSON.
 */
const callerMetadata = z
  .object({ by: z.string().max(100), from: z.string().max(200), answer: z.literal('text') })
  .partial()

const DAY_MS = 86_400_000

/**
 * The operator's worker: a function and an HTTP route for every row of {@link OPERATIONS}. Each of them requires the
 * token of operators.
 */
export const startOperator: StartRole = async ({ app, config, iii, log }) => {
  const access = openOpsAccess(config, log)
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const { actionDays } = config.ops
  const actions = openSqliteActionStore(
    dataPaths(config.data).actions,
    actionDays === 0 ? {} : { keepMs: actionDays * DAY_MS },
  )
  const { readers: views, control } = await openReaders(app, config.data)
  const credentials = ownCredentials(config, log)
  const { processes, metrics } = processesOf(iii, credentials, systemId(config.data))
  const system: System = {
    app,
    log: events,
    control,
    views,
    diskUse: (place) => diskUse(config.data, place),
    standing: async (unit) => standingOf(views, control, findUnit(app, unit)),
    behindFor: seenBehind(),
    splitOtherwise: (unit) => findOtherSplit(config.data, findUnit(app, unit)),
    marks: async (unit, after, through) => marksOf(views, findUnit(app, unit), after, through),
    call: caller(iii, credentials, { timeoutMs: CALL_TIMEOUT_MS, changes: true }),
    ask: caller(iii, credentials, { timeoutMs: config.ops.answerMs, changes: false }),
    processes: () => processes(),
    disk: () => roomIn(config.data),
    actions,
    now: () => new Date(),
    monotonic: () => performance.now(),
  }
  const { readyAnswerMs } = config.ops
  const probed: System = {
    ...system,
    ask: caller(iii, credentials, { timeoutMs: readyAnswerMs, changes: false }),
    processes: () => processes(readyAnswerMs),
  }
  const functions = operatorFunctions({ system, probed, access, metrics, limits: config.ops, log })
    // The console is the host's.
    .filter(({ id }) => config.guest === NO_GUEST || !id.startsWith(CONSOLE))
    .map((offered) => ({
      ...offered,
      id: idOnEngine(config, offered.id),
      http: offered.http && routeOnEngine(config, offered.http),
    }))
  const offered = await offer(iii, functions, log, systemId(config.data))
  return {
    async stop() {
      offered.unregister()
      await views.close()
      await control.close()
      await actions.close()
      await events.close()
    },
  }
}

/** What {@link operatorFunctions} needs. */
export interface OperatorFunctionsOptions extends PagesOptions {
  readonly log: Logger
}

/** Everything that the operator's worker offers: the operations, the export, the pages for machines, and the console. */
export function operatorFunctions({ log, ...options }: OperatorFunctionsOptions): OfferedFunction[] {
  const { system, access } = options
  return [
    ...OPERATIONS.map((operation) => operationFunction(operation, system, access, log)),
    exportFunction(system, access, log),
    ...pages(options),
    ...consoleFunctions(),
  ]
}

function operationFunction(
  operation: Operation,
  system: System,
  access: OpsAccess,
  log: Logger,
): OfferedFunction {
  const { id, what, scope } = operation
  const http = routeOf(operation)
  const act = async (given: { readonly input: unknown; readonly operator: Operator }) => {
    const { input, operator } = access.redact(given)
    const result = await perform(system, operation, input, operator)
    if (mayChange(operation, input)) log.info({ operation: id, input, ...operator, result }, 'operator')
    return result
  }
  return {
    id,
    description: what,
    http,
    async handle(payload, metadata) {
      if (isHttpRequest(payload)) {
        return overHttp(payload, http.method, {
          authorize: () => access.check(bearerToken(payload), scope),
          perform: (input) => act({ input, operator: operatorOf(payload) }),
        })
      }
      const caller = callerMetadata.safeParse(metadata).data ?? {}
      const { by = 'operator', from = workerName(payload), answer } = caller
      try {
        access.check(tokenIn(metadata), scope)
        const result = await act({ input: directInput(payload), operator: { by, from } })
        return answer === 'text' ? JSON.stringify(result) : result
      } catch (error) {
        throw toRemote(error)
      }
    },
  }
}

async function roomIn(folder: string): ReturnType<System['disk']> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { free: bavail * bsize, total: blocks * bsize, refusal: await whyUnwritable(folder) }
}

/**
 * Why nothing can be written to a data folder; undefined if writing works. A file is opened for writing, and nothing is
 * written: only this reveals a disk that the kernel has made read-only after an error. It is not the file of a store,
 * since closing that would release the locks of this process.
 */
async function whyUnwritable(folder: string): Promise<string | undefined> {
  try {
    const file = await open(dataPaths(folder).writeProbe, 'a', 0o600)
    await file.close()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  }
}

/** The worker that called, if the engine says which one it was. */
function workerName(payload: unknown): string {
  const { _caller_worker_id: id } = (payload ?? {}) as { _caller_worker_id?: unknown }
  return typeof id === 'string' ? `worker ${id}` : 'worker'
}
