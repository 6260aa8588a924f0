import { connect as connectTcp } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../config/config.ts'
import { idOnEngine } from '../../config/guest.ts'
import { dataPaths } from '../../config/paths.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import type { RecordedEvent } from '../../kernel/event.ts'
import { parseJson } from '../../kernel/json.ts'
import { CallsInFlight } from '../../workers/link/calls-in-flight.ts'
import { fromRemote } from '../../workers/link/remote-error.ts'
import type { ActionsPage } from '../actions.ts'
import type {
  AuditAnswer,
  AuditStretch,
  DiscardRequest,
  DiscardResult,
  EventsPage,
  EventsRequest,
  GroupsPage,
  GroupsRequest,
  LetterDetails,
  LettersPage,
  LettersRequest,
  PurgeRequest,
  PurgeResult,
  QueueSummary,
  QueuesPage,
  QueuesRequest,
  RedriveRequest,
  RedriveResult,
  SystemStatus,
  WorkersAnswer,
} from '../contract.ts'
import type {
  GenerationsChanged,
  ProjectionRequest,
  ProjectionsList,
  PruneRequest,
  RebuildRequest,
  RebuildStarted,
  RollbackRequest,
  ViewAnswer,
  ViewRequest,
} from '../generations-contract.ts'
import type { CliContext } from './context.ts'

/** How long to wait for an engine to answer, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000

/** How long an operation may take, in milliseconds; a redrive of everything takes the longest. */
const OPERATION_TIMEOUT_MS = 60_000

/** Pause before a continuous command (`--watch`, `--follow`) tries again, in milliseconds. */
const RETRY_INTERVAL_MS = 1_000

/** What each function of the operator's worker takes and answers. */
export interface Operations {
  readonly 'ops::status': { readonly input: Record<string, never>; readonly result: SystemStatus }
  readonly 'ops::audit': { readonly input: AuditStretch; readonly result: AuditAnswer }
  readonly 'ops::events': { readonly input: EventsRequest; readonly result: EventsPage }
  readonly 'ops::event': { readonly input: { readonly position: number }; readonly result: RecordedEvent }
  readonly 'ops::dlq-list': { readonly input: LettersRequest; readonly result: LettersPage }
  readonly 'ops::dlq-groups': { readonly input: GroupsRequest; readonly result: GroupsPage }
  readonly 'ops::dlq-show': { readonly input: { readonly id: string }; readonly result: LetterDetails }
  readonly 'ops::dlq-redrive': { readonly input: RedriveRequest; readonly result: RedriveResult }
  readonly 'ops::queues': { readonly input: QueuesRequest; readonly result: QueuesPage }
  readonly 'ops::queue': { readonly input: { readonly queue: string }; readonly result: QueueSummary }
  readonly 'ops::queue-pause': { readonly input: { readonly queue: string }; readonly result: QueueSummary }
  readonly 'ops::queue-resume': { readonly input: { readonly queue: string }; readonly result: QueueSummary }
  readonly 'ops::queue-purge': { readonly input: PurgeRequest; readonly result: PurgeResult }
  readonly 'ops::workers': { readonly input: Record<string, never>; readonly result: WorkersAnswer }
  readonly 'ops::actions': {
    readonly input: { before?: number; limit?: number; operation?: string }
    readonly result: ActionsPage
  }
  readonly 'ops::dlq-discard': { readonly input: DiscardRequest; readonly result: DiscardResult }
  readonly 'ops::projections': { readonly input: Record<string, never>; readonly result: ProjectionsList }
  readonly 'ops::projections-show': { readonly input: ProjectionRequest; readonly result: ProjectionsList }
  readonly 'ops::rebuild': { readonly input: RebuildRequest; readonly result: RebuildStarted }
  readonly 'ops::rebuild-cancel': { readonly input: ProjectionRequest; readonly result: GenerationsChanged }
  readonly 'ops::rollback': { readonly input: RollbackRequest; readonly result: GenerationsChanged }
  readonly 'ops::prune': { readonly input: PruneRequest; readonly result: GenerationsChanged }
  readonly 'ops::verify': { readonly input: ProjectionRequest; readonly result: RebuildStarted }
  readonly 'ops::pause': { readonly input: ProjectionRequest; readonly result: GenerationsChanged }
  readonly 'ops::resume': { readonly input: ProjectionRequest; readonly result: GenerationsChanged }
  readonly 'ops::view': { readonly input: ViewRequest; readonly result: ViewAnswer }
}

/** Calls one operation of the running system. @throws CqrsError CQRS_ENGINE_UNREACHABLE, or {@link OperationFailed} */
export type CallOperation = <Name extends keyof Operations>(
  name: Name,
  input: Operations[Name]['input'],
) => Promise<Operations[Name]['result']>

/** The running system answered that it could not do what was asked; the message says why. */
export class OperationFailed extends Error {
  override readonly name = 'OperationFailed'
}

/**
 * Connects to the running system for as long as `use` takes.
 *
 * @throws CqrsError CQRS_ENGINE_UNREACHABLE if no engine answers
 */
export async function withOperations<Result>(
  context: CliContext,
  use: (call: CallOperation) => Promise<Result>,
): Promise<Result> {
  const config = context.config()
  return withEngine(context, (trigger) => {
    const metadata = credentials(context)
    return use((name, input) => call(trigger, config, metadata, name, input))
  })
}

/** Calls a function of the engine. @throws what the function threw; CqrsError CQRS_ENGINE_UNREACHABLE if the link broke */
export type CallFunction = (request: {
  readonly function_id: string
  readonly payload: unknown
  readonly metadata: object
}) => Promise<unknown>

/**
 * Connects to the engine for as long as `use` takes.
 *
 * @throws CqrsError CQRS_ENGINE_UNREACHABLE if no engine answers
 */
export async function withEngine<Result>(
  context: CliContext,
  use: (trigger: CallFunction) => Promise<Result>,
): Promise<Result> {
  const config = context.config()
  await assertListening(config)
  const { connect, disconnect } = await import('../../workers/link/connect.ts')
  const { connected } = await import('../../workers/link/link.ts')
  const { REFUSED } = await import('../../workers/link/sdk-output.ts')
  const refused = Promise.withResolvers<never>()
  refused.promise.catch(() => {})
  const onRefused = () => refused.reject(new CqrsError('CQRS_UNAUTHORIZED', REFUSED))
  const calls = new CallsInFlight()
  const iii = connect(config, 'cqrs-cli', context.silent, { onRefused, onLinkLost: () => calls.linkLost() })
  try {
    const linked = await Promise.race([within(CONNECT_TIMEOUT_MS, connected(iii)), refused.promise])
    if (!linked)
      throw unreachable(config, 'something listens there, but it does not answer like an iii engine')
    return await use((request) =>
      calls.orLost(iii.trigger({ ...request, timeoutMs: OPERATION_TIMEOUT_MS }), () =>
        linkLost(config, request.function_id),
      ),
    )
  } finally {
    await disconnect(iii)
  }
}

/** For commands that go on until Ctrl-C: if the system does not answer, prints that and waits before the next try. */
export async function patiently(act: () => Promise<void>, context: CliContext): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!isCqrsError(error, 'CQRS_ENGINE_UNREACHABLE')) throw error
    context.warn(error.message)
    await delay(RETRY_INTERVAL_MS)
  }
}

/** Fails at once if nothing listens at the engine's address; the SDK would keep trying to connect. */
async function assertListening(config: Config): Promise<void> {
  const { hostname, port, protocol } = new URL(config.engine.url)
  const socket = connectTcp({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (protocol === 'wss:' ? 443 : 80),
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('connect', () => resolve())
  socket.once('error', (error) => reject(unreachable(config, error.message, error)))
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => reject(unreachable(config, 'no answer')))
  try {
    await promise
  } finally {
    socket.destroy()
  }
}

async function call<Name extends keyof Operations>(
  trigger: CallFunction,
  config: Config,
  metadata: object,
  function_id: Name,
  input: Operations[Name]['input'],
): Promise<Operations[Name]['result']> {
  try {
    const answer = await trigger({ function_id: idOnEngine(config, function_id), payload: input, metadata })
    return (typeof answer === 'string' ? parseJson(answer) : answer) as Operations[Name]['result']
  } catch (error) {
    if (isCqrsError(error)) throw error
    const { code, message } = error as { code?: string; message: string }
    const text = message.replace(/^[A-Za-z_]+: /, '')
    switch (code) {
      case 'function_not_found':
        throw new CqrsError(
          'CQRS_ENGINE_UNREACHABLE',
          `The engine at ${config.engine.url} runs, but no operator worker is connected to it (${idOnEngine(config, function_id)} is missing). ` +
            'If "cqrs up" was started just now, try again; otherwise start it, or "cqrs worker operator".',
          { cause: error },
        )
      case 'invocation_stopped':
      case 'TIMEOUT':
        throw new CqrsError(
          'CQRS_ENGINE_UNREACHABLE',
          `The operator worker did not answer ${function_id}: ${text}. Try again; if that does not help, look at its log.`,
          { cause: error },
        )
      default:
        if (isCqrsError(fromRemote(error))) throw fromRemote(error)
        throw new OperationFailed(text, { cause: error })
    }
  }
}

/**
 * What a call says about its caller: the token from the environment or from the data folder of this machine; who it
 * is, for the record; and that the answer should come as JSON text, exactly as it was written.
 */
function credentials({ process, config }: CliContext): object {
  const { data, secrets } = config()
  const { opsToken, opsReadToken } = dataPaths(data)
  const token =
    secrets.opsToken ??
    secrets.opsReadToken ??
    readSecretFile(opsToken)?.secret ??
    readSecretFile(opsReadToken)?.secret
  return { token, by: process.env.USER || 'operator', from: `cli on ${hostname()}`, answer: 'text' }
}

function unreachable({ engine }: Config, why: string, cause?: unknown): CqrsError {
  return new CqrsError(
    'CQRS_ENGINE_UNREACHABLE',
    `No engine answers at ${engine.url} (${why}). Start the system with "cqrs up", or set III_URL to the engine's address.`,
    { cause },
  )
}

function linkLost({ engine }: Config, operation: string): CqrsError {
  return new CqrsError(
    'CQRS_ENGINE_UNREACHABLE',
    `The connection to the engine at ${engine.url} broke before ${operation} was answered. It may have been carried out, or may ` +
      'still be. Check that, then try again.',
  )
}

async function within(ms: number, promise: Promise<void>): Promise<boolean> {
  const timeout = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => timeout.resolve(false), ms)
  try {
    return await Promise.race([promise.then(() => true), timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}
