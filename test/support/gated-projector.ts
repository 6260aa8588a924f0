import { pino } from 'pino'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type { EventLog } from '../../src/log/contract.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import { Projector } from '../../src/projection/projector.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { Gate } from './gate.ts'
import { ledgerCatalog } from './ledger-app.ts'

export interface GatedProjectorOptions {
  projection: ProjectionDefinition
  log: Pick<EventLog, 'readFrom' | 'head'>
  viewPath: string
  /** Takes an effect; what it throws is a failure. */
  take(idempotencyKey: string): void
  now(): number
  batchSize: number
}

/**
 * A projections process with a connection of its own to the view's file, as the worker wires it, whose every
 * call of a store and of the world waits at a {@link Gate}.
 */
export class GatedProjector {
  readonly gate = new Gate()
  readonly runner: ProjectionRunner
  readonly view: ViewStore
  readonly #file: ViewStore
  readonly #effects: EffectSender
  /** What is under way; it never ends if the process does. */
  #busy = 0

  constructor({ projection, log, viewPath, take, now, batchSize }: GatedProjectorOptions) {
    this.#file = openSqliteView(viewPath, projection)
    this.view = this.gate.guard(this.#file)
    const silent = pino({ level: 'silent' })
    const projector = new Projector({
      projection,
      catalog: ledgerCatalog,
      log: this.gate.guard(log) as EventLog,
      view: this.view,
      policy: { maxAttempts: 3, baseMs: 10, capMs: 10 },
      turns: new Turns(),
      batchSize,
      documentCache: { documents: 2, bytes: 64_000_000 },
      now,
      random: () => 0,
    })
    this.#effects = new EffectSender({
      view: this.view,
      send: (_, idempotencyKey) =>
        this.gate.pass(() => {
          take(idempotencyKey)
          return 'sent' as const
        }),
      maxAttempts: 1,
      maxStops: 10,
      atOnce: 4,
      baseMs: 1,
      capMs: 1,
      now,
      log: silent,
      signal: new AbortController().signal,
    })
    this.runner = new ProjectionRunner({
      projector,
      view: this.view,
      effects: this.#effects,
      sweepIntervalMs: 1_000_000,
      now,
      log: silent,
    })
  }

  get busy(): boolean {
    return this.#busy > 0
  }

  /** Begins something; it goes on as its calls are let through. */
  async begin(work: (self: this) => Promise<unknown>): Promise<void> {
    this.#busy += 1
    const done = () => {
      this.#busy -= 1
    }
    void work(this).then(done, done)
    await this.gate.settle()
  }

  flush(): Promise<void> {
    return this.#effects.flush()
  }

  /** Lets everything go on until nothing is under way. */
  async finish(): Promise<void> {
    while (!this.gate.ended && this.gate.held > 0) await this.gate.release(0)
  }

  /** The process is gone, and its connection with it. */
  async end(): Promise<void> {
    this.gate.end()
    await this.#file.close()
  }
}
