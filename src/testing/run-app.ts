import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CommandContext, CommandExecutor, type CommandOutcome } from '../command/execute.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import { describeIssues, parseInput } from '../kernel/input.ts'
import { parseJson } from '../kernel/json.ts'
import type { Rejection } from '../kernel/rejection.ts'
import { allUnits, type ProjectionUnit, unitsOf } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import type { TracedEffect, ViewStore } from '../projection/contract.ts'
import { wholeView } from '../projection/partitioned-view.ts'
import { Projector } from '../projection/projector.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import { openSqliteView } from '../projection/sqlite/view-store.ts'
import { Turns } from '../projection/turns.ts'
import { assertAccepted, COMMAND, isCommand } from '../workers/link/refused-command.ts'
import type { AppOptions, RunningApp } from './contract.ts'

/** Starts an app; see `runApp` in src/testing.ts. */
export async function startApp(app: App, options: AppOptions): Promise<RunningApp> {
  const folder = await mkdtemp(join(tmpdir(), 'iii-durable-cqrs-'))
  return new AppInProcess(app, folder, options)
}

/** A projection, or a partition of one, with what keeps it up to date. */
interface Part {
  readonly unit: ProjectionUnit
  readonly view: ViewStore
  readonly projector: Projector
}

/** The parts that make up a running system, in one process and without an engine. */
class AppInProcess implements RunningApp {
  readonly published: { topic: string; data: unknown }[] = []
  readonly #app: App
  readonly #folder: string
  readonly #functions: NonNullable<AppOptions['functions']>
  readonly #log: EventLog
  readonly #commands: CommandExecutor
  readonly #parts: readonly Part[]
  readonly #maxEffects: number
  #commandCount = 0

  constructor(app: App, folder: string, options: AppOptions) {
    const { functions = {}, now = () => new Date(), maxEffects = 1_000 } = options
    this.#app = app
    this.#folder = folder
    this.#functions = functions
    this.#maxEffects = maxEffects
    const log = openSqliteEventLog({ path: join(folder, 'events.db'), now: () => now().getTime() })
    this.#log = log
    this.#commands = new CommandExecutor({
      app,
      log,
      now,
      streamCacheSize: 1_000,
      conflictRetries: 10,
      onAppended: () => undefined,
    })
    const turns = new Turns()
    this.#parts = allUnits(app).map((unit) => {
      const { projection, partition } = unit
      const view = openSqliteView(this.#pathOf(unit), projection)
      const projector = new Projector({
        projection,
        partition,
        catalog: app.events,
        log,
        view,
        // A test is told at once of an event that fails.
        policy: { maxAttempts: 1, baseMs: 0, capMs: 0 },
        turns,
        batchSize: 1_000,
        documentCache: { documents: 0, bytes: 64_000_000 },
        now: () => now().getTime(),
        random: Math.random,
      })
      return { unit, view, projector }
    })
  }

  command(name: string, input: unknown, context: Partial<CommandContext> = {}): Promise<CommandOutcome> {
    this.#commandCount += 1
    const commandId = `command-${this.#commandCount}`
    return this.#commands.execute(name, overTheWire(input), { commandId, ...context })
  }

  async query(name: string, input: unknown = {}): Promise<unknown | Rejection> {
    const query = this.#app.queries.get(name)
    if (!query) {
      const known = [...this.#app.queries.keys()].join(', ')
      throw new CqrsError('CQRS_APP_INVALID', `The app has no query ${name}; it has: ${known}.`)
    }
    const parsed = parseInput(query.input, overTheWire(input))
    if (!parsed.ok) {
      const message = `The input of ${name} does not fit its schema: ${describeIssues(parsed.issues)}.`
      throw new CqrsError('CQRS_VALIDATION', message, { details: { issues: parsed.issues } })
    }
    if (!query.projection) return overTheWire(await query.run(this.#log, parsed.value))
    const { projection } = query
    for (const part of this.#parts) if (part.unit.projection === projection) await this.#catchUp(part)
    const readers = unitsOf(projection).map((unit) => openSqliteViewReader(this.#pathOf(unit), projection))
    try {
      return overTheWire(await query.run(wholeView(readers), parsed.value))
    } finally {
      for (const reader of readers) await reader.close()
    }
  }

  async settle(): Promise<void> {
    // As in production, what fails in one view keeps no other one from going on.
    const failures = new Map<ViewStore, Error>()
    let parked: unknown
    for (let sent = 0, before = -1; sent !== before; ) {
      before = sent
      parked = undefined
      for (const part of this.#parts) {
        await this.#catchUp(part).catch((error: unknown) => {
          parked ??= error
        })
      }
      for (const { view } of this.#parts) {
        if (failures.has(view)) continue
        const outcome = await this.#sendEffects(view)
        sent += outcome.sent
        if (outcome.failure) failures.set(view, outcome.failure)
      }
      if (sent <= this.#maxEffects) continue
      throw new CqrsError(
        'CQRS_APP_INVALID',
        `There are more than ${this.#maxEffects} effects. If reactors do not cause each other's events for ever, raise "maxEffects".`,
      )
    }
    const [failure = parked] = failures.values()
    if (failure) throw failure
  }

  async events(stream?: string): Promise<RecordedEvent[]> {
    const all: RecordedEvent[] = []
    for (let after = 0, head = 1; after < head; ) {
      const page = await this.#log.readFrom(after, { limit: 1_000 })
      all.push(...page.events.filter((event) => stream === undefined || event.stream === stream))
      after = page.through
      head = page.head
    }
    return all
  }

  async close(): Promise<void> {
    for (const { view } of this.#parts) await view.close()
    await this.#log.close()
    await rm(this.#folder, { recursive: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #pathOf({ name }: ProjectionUnit): string {
    return join(this.#folder, `${name}.db`)
  }

  /** @throws CqrsError CQRS_APP_INVALID if an event is parked; it is tried again the next time */
  async #catchUp({ unit, view, projector }: Part): Promise<void> {
    for (const { event } of await view.letters({ after: 0, limit: 1_000 })) {
      await projector.redrive(event.position)
      await projector.retry(event.position)
    }
    while ((await projector.step()) !== 'at-head');
    const [letter] = await view.letters({ after: 0, limit: 1 })
    if (!letter) return
    const { position, type, failures } = letter.event
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `${unit.name} parked the event ${type} at position ${position}: ${failures.at(-1)?.message}`,
    )
  }

  /** Carries out the effects of a view, oldest first. The one that fails, and those after it, stay. */
  async #sendEffects(view: ViewStore): Promise<{ readonly sent: number; readonly failure?: Error }> {
    let sent = 0
    for (const { effect, idempotencyKey } of await view.pendingEffects(100)) {
      try {
        await this.#carryOut(effect, idempotencyKey)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        const message = `The effect ${idempotencyKey} was not carried out: ${reason}`
        return { sent, failure: new Error(message, { cause: error }) }
      }
      await view.effectsSent([idempotencyKey])
      sent += 1
    }
    return { sent }
  }

  async #carryOut(effect: TracedEffect, idempotencyKey: string): Promise<void> {
    // Whoever takes it may change it.
    const data = structuredClone(effect.data)
    const { correlationId, causationId } = effect
    const cause = { ...(correlationId && { correlationId }), ...(causationId && { causationId }) }
    if (effect.kind === 'publish') {
      this.published.push({ topic: effect.topic, data: { ...data, idempotencyKey } })
      return
    }
    const { functionId } = effect
    const name = functionId.slice(COMMAND.length)
    const take = this.#functions[functionId]
    if (isCommand(functionId)) {
      const context = { idempotencyKey, ...cause }
      const isOfAnotherApp = take !== undefined && !this.#app.commands.has(name)
      const answer = isOfAnotherApp ? await take(data, context) : await this.command(name, data, context)
      assertAccepted(functionId, answer)
    } else {
      if (!take) throw new Error(`There is no function ${functionId}; give one in "functions".`)
      await take({ ...data, idempotencyKey }, cause)
    }
  }
}

/** A value as it arrives: callers and the app are connected by JSON. */
function overTheWire(value: unknown): unknown {
  const text: string | undefined = JSON.stringify(value)
  return text === undefined ? undefined : parseJson(text)
}
