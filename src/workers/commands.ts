import { randomUUIDv7 } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { TriggerAction } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import { reachedNextTurn } from '../boundaries.ts'
import { type CommandContext, CommandExecutor, type CommandOutcome } from '../command/execute.ts'
import { FanOut } from '../command/fan-out.ts'
import { StreamSnapshots } from '../command/snapshots.ts'
import { openSqliteSnapshots } from '../command/sqlite/snapshot-store.ts'
import { dataPaths } from '../config/paths.ts'
import { systemId } from '../config/system-id.ts'
import type { AppCommand } from '../kernel/app.ts'
import { isCqrsError } from '../kernel/errors.ts'
import { type InputIssue, parseInput } from '../kernel/input.ts'
import { allUnits } from '../kernel/unit.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import {
  bodyIssue,
  directInput,
  failed,
  failure,
  type HttpRequest,
  type HttpResponse,
  invalidInput,
  isHttpRequest,
  rejected,
  requestInput,
  success,
} from './link/http.ts'
import { type OfferedFunction, offer } from './link/offer.ts'
import { toRemote } from './link/remote-error.ts'
import { assertLogReachesViews } from './projections/log-reaches-views.ts'
import type { StartRole } from './role.ts'

const idempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
const note = z.string().max(255)

/** W3C trace context, version 00 and later. Anything else is ignored, as the standard demands. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** What a caller may say about a command besides its input. Another worker says it in the metadata of its call. */
const callerContext = z.object({
  idempotencyKey: idempotencyKey.optional(),
  correlationId: note.optional(),
  causationId: note.optional(),
  actor: note.optional(),
  traceparent: note.optional(),
})

const DAY_MS = 86_400_000

type CallerContext = z.output<typeof callerContext>

/**
 * The commands worker: `cmd::<name>` for every command of the app, and its HTTP route. A successful answer means that
 * the events are on stable storage; projections are told about them afterwards.
 */
export const startCommands: StartRole = async (context) => {
  const { app, code, config, iii, inFlight, log, metrics, tracing, met } = context
  const { maxWaiting, idempotencyKeyDays } = config.commands
  const events = openSqliteEventLog({
    path: dataPaths(config.data).events,
    maxWaiting,
    ...(idempotencyKeyDays === 0 ? {} : { keepKeysMs: idempotencyKeyDays * DAY_MS }),
  })
  await assertLogReachesViews(app, config.data, events)
  const queues = inFlight.over(iii)
  const fanOut = new FanOut(
    allUnits(app).map(({ name, functionId }) => ({ projection: name, queue: name, functionId })),
    async ({ queue, functionId }, message, traceparent) => {
      try {
        const call = {
          function_id: functionId,
          payload: message,
          action: TriggerAction.Enqueue({ queue }),
          timeoutMs: config.fanOut.timeoutMs,
        }
        await tracing.within(traceparent, () => queues.trigger(call))
        metrics.fanOut(queue, 'sent')
      } catch (error) {
        metrics.fanOut(queue, 'failed')
        throw error
      }
    },
    log,
    { intervalMs: config.fanOut.intervalMs, monotonic: () => performance.now(), pause: delay },
  )
  const { snapshotEvery: every } = config.commands
  const store = every > 0 ? openSqliteSnapshots(dataPaths(config.data).snapshots, log) : undefined
  /**
   * The error message of the last command that met damage of the log; undefined once a later command has stored events.
   */
  let refusal: string | undefined
  const executor = new CommandExecutor({
    app,
    log: events,
    snapshots: store && new StreamSnapshots({ store, every, code, log }),
    streamCacheSize: config.commands.streamCacheSize,
    streamCacheBytes: config.commands.streamCacheBytes,
    conflictRetries: config.commands.conflictRetries,
    maxEventBytes: config.commands.maxEventBytes,
    onAppended(position, traceparent) {
      fanOut.appended(position, traceparent)
      if (refusal !== undefined) {
        met({ message: refusal, goesOn: true })
        refusal = undefined
      }
    },
    onConflict: () => metrics.conflict(),
    now: () => new Date(),
  })
  const underWay = new Set<Promise<unknown>>()
  const functions = [...app.commands.values()].map((command) =>
    commandFunction(command, log, (input, caller) => {
      const ended = metrics.command(command.name)
      // The command's own span, if there is one, is a closer parent than the context that the caller gave.
      const traceparent = tracing.current()
      const context = traceparent === undefined ? caller : { ...caller, traceparent }
      const execution = executor.execute(command.name, input, context)
      execution.then(ended, (error: unknown) => {
        ended(undefined)
        if (!isCqrsError(error) || error.code !== 'CQRS_STORE_CORRUPT') return
        refusal = error.message
        met({ message: refusal, goesOn: false })
      })
      const done = execution.catch(() => undefined).finally(() => underWay.delete(done))
      underWay.add(done)
      return execution
    }),
  )
  const warm = events.warmUp()
  const offered = await offer(iii, functions, log, systemId(config.data))

  return {
    async stop() {
      offered.unregister()
      await Promise.all(underWay)
      await fanOut.idle()
      await store?.close()
      await warm
      await events.close()
    },
  }
}

type Execute = (input: unknown, context: CommandContext) => Promise<CommandOutcome>

function commandFunction({ name, definition }: AppCommand, log: Logger, execute: Execute): OfferedFunction {
  const commandLog = log.child({ command: name })
  return {
    id: `cmd::${name}`,
    description: `Command ${name}: decides and appends its events.`,
    http: definition.http,
    async handle(payload, metadata) {
      if (isHttpRequest(payload)) {
        const response = await overHttp(payload, metadata, definition.http?.status, execute)
        commandLog.debug({ status: response.status_code }, 'command')
        reachedNextTurn('command-answered')
        return response
      }
      const outcome = await direct(payload, metadata, execute)
      commandLog.debug({ outcome: outcome.kind }, 'command')
      reachedNextTurn('command-answered')
      return outcome
    },
  }
}

async function direct(payload: unknown, metadata: unknown, execute: Execute): Promise<CommandOutcome> {
  const caller = parseInput(callerContext, metadata ?? {})
  if (!caller.ok) return { kind: 'invalid', issues: caller.issues }
  const stray = strayKey(caller.value.idempotencyKey, metadata, 'idempotencyKey')
  if (stray) return { kind: 'invalid', issues: [stray] }
  try {
    return await execute(directInput(payload), context(caller.value))
  } catch (error) {
    throw toRemote(error)
  }
}

/** @param metadata of a call that passes on a request as it came; that of a route has no idempotency key */
async function overHttp(
  request: HttpRequest,
  metadata: unknown,
  status: number | undefined,
  execute: Execute,
): Promise<HttpResponse> {
  const caller = callerContext.safeParse(metadata).data
  const key = request.headers['idempotency-key'] ?? caller?.idempotencyKey
  const parsedKey = parseInput(idempotencyKey.optional(), key)
  if (!parsedKey.ok) {
    return invalidInput(parsedKey.issues.map(({ problem }) => ({ field: 'Idempotency-Key', problem })))
  }
  const issue = strayKey(key, request.headers, 'Idempotency-Key') ?? bodyIssue(request)
  if (issue) return invalidInput([issue])
  const merged = requestInput(request.body, request.path_params)
  if (!merged.ok) return invalidInput(merged.issues)
  try {
    const { traceparent: trace, 'x-correlation-id': correlationId } = request.headers
    const traceparent = trace && TRACEPARENT.test(trace) ? trace : undefined
    return toResponse(
      await execute(merged.input, context({ idempotencyKey: key, correlationId, traceparent })),
      status,
    )
  } catch (error) {
    return failed(error)
  }
}

/** Names under which an idempotency key is given elsewhere, or by mistake. */
const LIKE_A_KEY = /^(x[-_]?)?idempotency[-_]?key$/i

/**
 * What is wrong if an idempotency key was given under another name than `place` and not there. Whoever gives one relies
 * on it: without the key, the command would be carried out again when it is sent again.
 */
function strayKey(key: string | undefined, given: unknown, place: string): InputIssue | undefined {
  if (key !== undefined) return undefined
  const field = Object.keys(given ?? {}).find((name) => name !== place && LIKE_A_KEY.test(name))
  return field === undefined ? undefined : { field, problem: `is not read; give the key as ${place}` }
}

function toResponse(outcome: CommandOutcome, status = 200): HttpResponse {
  switch (outcome.kind) {
    case 'accepted': {
      const { position, version, events, replayed } = outcome
      return success({ position, version, events }, status, replayed ? { 'Idempotent-Replayed': 'true' } : {})
    }
    case 'rejected':
      return rejected(outcome.rejection)
    case 'invalid':
      return invalidInput(outcome.issues)
    case 'key-reused':
      return failure(422, {
        code: 'CQRS_KEY_REUSED',
        message: 'This Idempotency-Key was used for a different request; send a new key.',
      })
    case 'conflict':
      return failure(
        409,
        {
          code: 'CQRS_CONFLICT',
          message: `Other commands kept changing the same stream (${outcome.attempts} attempts); this try stored nothing. Try again, with the same Idempotency-Key.`,
        },
        { 'Retry-After': '1' },
      )
  }
}

function context({
  idempotencyKey,
  correlationId,
  causationId,
  actor,
  traceparent,
}: CallerContext): CommandContext {
  return {
    commandId: randomUUIDv7(),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(correlationId === undefined ? {} : { correlationId: correlationId.slice(0, 255) }),
    ...(causationId === undefined ? {} : { causationId }),
    ...(actor === undefined ? {} : { actor }),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}
