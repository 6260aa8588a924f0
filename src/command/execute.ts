import { randomUUIDv7 } from 'node:crypto'
import pRetry from 'p-retry'
import { reached } from '../boundaries.ts'
import type { App, AppCommand } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { DomainEvent } from '../kernel/event.ts'
import { freezePlain } from '../kernel/freeze-plain.ts'
import { describeIssues, type InputIssue, parseInput } from '../kernel/input.ts'
import { parseJson } from '../kernel/json.ts'
import { MAX_DEPTH, nestsDeeper } from '../kernel/json-size.ts'
import type { Position } from '../kernel/position.ts'
import { isRejection, type Rejection } from '../kernel/rejection.ts'
import type { AppendOutcome, EventLog, Idempotency, NewEvent, RecordedCommand } from '../log/contract.ts'
import { fingerprintOf, isSameCommand } from './fingerprint.ts'
import type { StreamSnapshots } from './snapshots.ts'
import { StreamCache } from './stream-cache.ts'

/** See {@link CommandExecutorOptions.maxEventBytes}. */
const MAX_EVENT_BYTES = 4_194_304

/** What accompanies a command besides its input. */
export interface CommandContext {
  readonly commandId: string
  readonly idempotencyKey?: string
  readonly correlationId?: string
  /** The id of the event because of which the command was sent. */
  readonly causationId?: string
  readonly actor?: string
  readonly traceparent?: string
}

/** Every result of a command other than a failure. */
export type CommandOutcome =
  | {
      readonly kind: 'accepted'
      /** Position of the stream's last event. Pass it as `after` to a query to read what was written. */
      readonly position: Position
      /** Version of the stream. */
      readonly version: number
      /** How many events the command appended; 0 if it changed nothing. */
      readonly events: number
      /** The idempotency key was known: this is the answer from the first time. */
      readonly replayed: boolean
    }
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  | { readonly kind: 'invalid'; readonly issues: readonly InputIssue[] }
  /** The idempotency key was used for something else. */
  | { readonly kind: 'key-reused' }
  /** The stream kept changing; nothing was stored. */
  | { readonly kind: 'conflict'; readonly attempts: number }

export interface CommandExecutorOptions {
  app: App
  log: EventLog
  /** How many streams' folded state is kept in memory. */
  streamCacheSize: number
  /** How much memory these states may take, in bytes. The size is estimated. Default: no limit. */
  streamCacheBytes?: number
  /** Where folded streams are kept besides memory; if left out, only in memory. */
  snapshots?: StreamSnapshots | undefined
  /** How often a command is decided again because its stream changed. */
  conflictRetries: number
  /** The largest data of one event, in bytes of JSON. Default 4 MiB. */
  maxEventBytes?: number
  /** Called for every append that stored events, with the position of the last one. */
  onAppended: (position: Position, traceparent: string | undefined) => void
  /** Called when an append was not stored because another one was faster on the same stream. */
  onConflict?: () => void
  now: () => Date
}

/**
 * Executes commands: validates, loads the stream, decides, appends. An accepted command is on stable storage; any other
 * outcome left nothing behind.
 */
export class CommandExecutor {
  readonly #options: CommandExecutorOptions
  readonly #cache: StreamCache

  constructor(options: CommandExecutorOptions) {
    this.#options = options
    const { log, app, streamCacheSize, streamCacheBytes = Number.POSITIVE_INFINITY, snapshots } = options
    const limits = { streams: streamCacheSize, bytes: streamCacheBytes }
    this.#cache = new StreamCache(log, app.events, limits, snapshots)
  }

  /**
   * @param name of a command of the app
   * @throws CqrsError CQRS_UNKNOWN_COMMAND; CQRS_STORE_…, CQRS_OVERLOADED if the log did not accept the append
   */
  async execute(name: string, input: unknown, context: CommandContext): Promise<CommandOutcome> {
    const command = this.#options.app.commands.get(name)
    if (!command) {
      const known = [...this.#options.app.commands.keys()].join(', ')
      throw new CqrsError('CQRS_UNKNOWN_COMMAND', `There is no command ${name}; there are: ${known}.`)
    }
    const parsed = parseInput(command.definition.schema, input)
    const read = parsed.ok ? ([parsed.value] as const) : []
    const idempotency = context.idempotencyKey
      ? { key: context.idempotencyKey, fingerprint: fingerprintOf(name, input, ...read) }
      : undefined
    const answered = await this.#replay(idempotency)
    // A command that was accepted once stays accepted, even if the schema would refuse it now.
    if (!parsed.ok)
      return answered?.kind === 'accepted' ? answered : { kind: 'invalid', issues: parsed.issues }
    return answered ?? this.#decideAndAppend(command, freezePlain(parsed.value), context, idempotency)
  }

  async #decideAndAppend(
    command: AppCommand,
    input: unknown,
    context: CommandContext,
    idempotency: Idempotency | undefined,
  ): Promise<CommandOutcome> {
    const attempt = () => this.#attempt(command, input, context, idempotency)
    const retries = this.#options.conflictRetries
    const first = await attempt()
    if (first || retries === 0) return first ?? { kind: 'conflict', attempts: 1 }
    try {
      return await pRetry(async () => (await attempt()) ?? Promise.reject(new StreamMoved()), {
        retries: retries - 1,
        minTimeout: 1,
        maxTimeout: 50,
        randomize: true,
        shouldRetry: ({ error }) => error instanceof StreamMoved,
      })
    } catch (error) {
      if (error instanceof StreamMoved) return { kind: 'conflict', attempts: retries + 1 }
      throw error
    }
  }

  /** Decides once; undefined if the stream changed meanwhile and the command must be decided again. */
  async #attempt(
    { name, decider, definition }: AppCommand,
    input: unknown,
    context: CommandContext,
    idempotency: Idempotency | undefined,
  ): Promise<CommandOutcome | undefined> {
    const { log, now } = this.#options
    const stream: unknown = definition.stream(input)
    if (typeof stream !== 'string') {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The stream of the command ${name} is ${String(stream)}; its function "stream" has to return a string.`,
      )
    }
    // A file of events cannot hold an empty stream name.
    if (stream === '') return { kind: 'invalid', issues: [NO_STREAM] }
    // The log would return it as a different name, which may be that of another stream.
    if (!stream.isWellFormed()) return { kind: 'invalid', issues: [HALF_A_CHARACTER] }
    const cached = await this.#cache.get(stream, decider)
    // An append may have failed since the cache checked the entry. This decision could then meet another event at the
    // version that it expects.
    if (cached.spoiled) return undefined
    const decision = definition.decide(input, cached.state, { now: now(), commandId: context.commandId })

    if (isRejection(decision)) {
      if (!(await cached.confirm(log))) return undefined
      // The state may include a first try of this very command, which is then no reason to reject it.
      return (await this.#replay(idempotency)) ?? { kind: 'rejected', rejection: decision }
    }
    if (!Array.isArray(decision)) {
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The decider ${decider.name} answered the command ${name} with ${String(decision)}; return an array of events ` +
          '(empty if nothing changes) or a rejection.',
      )
    }
    if (decision.length === 0 && !idempotency) {
      const end = await cached.confirm(log)
      return end && { kind: 'accepted', ...end, events: 0, replayed: false }
    }

    const checked = decision.map((event: unknown) => {
      if (isEvent(event)) return this.#check(event)
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `The decider ${decider.name} answered the command ${name} with an array that contains ${String(event)}; ` +
          'each event has to be an object { type, data }.',
      )
    })
    const submitted = cached.append(
      checked.map(({ read }) => read),
      checked.at(-1)?.stored.id,
      (expectedVersion, expectedLast) =>
        log.append({
          stream,
          expectedVersion,
          ...(expectedLast === undefined ? {} : { expectedLast }),
          events: checked.map(({ stored }) => stored),
          metadata: metadata(context),
          ...(idempotency ? { idempotency } : {}),
        }),
    )
    return this.#settle(await submitted, checked.length, idempotency, context.traceparent)
  }

  async #settle(
    outcome: AppendOutcome,
    events: number,
    idempotency: Idempotency | undefined,
    traceparent: string | undefined,
  ): Promise<CommandOutcome | undefined> {
    if (outcome.kind === 'version-conflict') {
      this.#options.onConflict?.()
      return undefined
    }
    if (outcome.kind === 'duplicate-command') return answerAgain(outcome.original, idempotency)
    reached('append-answered')
    const { position, version } = outcome
    if (events > 0) this.#options.onAppended(position, traceparent)
    return { kind: 'accepted', position, version, events, replayed: false }
  }

  async #replay(idempotency: Idempotency | undefined): Promise<CommandOutcome | undefined> {
    const original = idempotency && (await this.#options.log.findCommand(idempotency.key))
    return original && answerAgain(original, idempotency)
  }

  /**
   * Checks that an event will come back from the log as an event of its schema. Otherwise it would be parked in every
   * projection and block its stream for ever. The state is also folded from what will come back, so that a decision
   * does not depend on whether the stream was in memory.
   */
  #check({ type, data }: DomainEvent): { stored: NewEvent; read: DomainEvent } {
    const { schema, version } = this.#options.app.events.get(type)
    const made = parseInput(schema, data)
    const json: unknown = made.ok ? parseJson(this.#write(type, made.value)) : undefined
    const read = made.ok ? parseInput(schema, json) : made
    if (read.ok) {
      return {
        stored: { id: randomUUIDv7(), type, schemaVersion: version, data: json },
        read: freezePlain({ type, data: read.value }),
      }
    }
    const problem = made.ok
      ? 'does not fit its schema after it was written as JSON and read back'
      : 'does not fit its schema'
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `A decider made an event ${type} that ${problem}: ${describeIssues(read.issues)}. ` +
        'An event has to be plain JSON, and its schema has to accept its own output.',
    )
  }

  /**
   * Converts data to JSON and checks its limits. Data that is nested deeper or larger could be stored, but not listed,
   * queried or imported again.
   */
  #write(type: string, data: unknown): string {
    if (nestsDeeper(data, MAX_DEPTH)) {
      const message = `A decider made an event ${type} that nests deeper than ${MAX_DEPTH} levels; limit its depth in the schema.`
      throw new CqrsError('CQRS_APP_INVALID', message)
    }
    const { maxEventBytes = MAX_EVENT_BYTES } = this.#options
    const text = JSON.stringify(data) ?? 'null'
    const bytes = Buffer.byteLength(text)
    if (bytes <= maxEventBytes) return text
    throw new CqrsError(
      'CQRS_TOO_LARGE',
      `A decider made an event ${type} of ${bytes} bytes; commands.maxEventBytes allows ${maxEventBytes}. Nothing was stored.`,
      { details: { bytes, limit: maxEventBytes } },
    )
  }
}

function isEvent(made: unknown): made is DomainEvent {
  return typeof made === 'object' && made !== null && typeof (made as { type?: unknown }).type === 'string'
}

const NO_STREAM: InputIssue = { field: '(input)', problem: 'must name its stream, but the name is empty' }

const HALF_A_CHARACTER: InputIssue = {
  field: '(input)',
  problem: 'must not name a stream with half a character (an unpaired surrogate)',
}

function answerAgain(original: RecordedCommand, idempotency: Idempotency | undefined): CommandOutcome {
  if (!isSameCommand(original.fingerprint, idempotency?.fingerprint ?? '')) return { kind: 'key-reused' }
  const { position, version, events } = original
  return { kind: 'accepted', position, version, events, replayed: true }
}

/** Only thrown and caught in this file: p-retry retries when a promise rejects. */
class StreamMoved extends Error {}

function metadata({ commandId, correlationId = commandId, causationId, actor, traceparent }: CommandContext) {
  return {
    commandId,
    correlationId,
    ...(causationId === undefined ? {} : { causationId }),
    ...(actor === undefined ? {} : { actor }),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}
