import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { CommandOutcome } from '../../src/command/execute.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import type { Passage } from '../support/gate.ts'
import { GatedExecutor } from '../support/gated-executor.ts'
import { testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** Runs of the property, and the time after which none but the first few begins, in milliseconds. */
const RUNS = Number(process.env.CQRS_TEST_RUNS) || 100
const FIRST_RUNS = 11
const TIME_MS = Number(process.env.CQRS_TEST_MS) || 15_000

/** Units of each item at the beginning: few, so that commands compete for them. */
const STOCK = 6
const KEYS = 8

type Action =
  /** A client sends a command, perhaps once more; a key stands for one command only. */
  | { do: 'send'; process: number; key: number }
  | { do: 'go on'; process: number; call: number; passage: Passage }
  | { do: 'finish'; process: number }

const processNumber = fc.nat({ max: 1 })
const ACTIONS: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      process: processNumber,
      key: fc.nat({ max: KEYS - 1 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('go on' as const),
      process: processNumber,
      call: fc.nat({ max: 20 }),
      passage: fc.oneof(
        { weight: 8, arbitrary: fc.constant('runs' as const) },
        { weight: 1, arbitrary: fc.constantFrom('ends before' as const, 'ends after' as const) },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('finish' as const), process: processNumber }) },
)

type Accepted = Extract<CommandOutcome, { kind: 'accepted' }>

/** Clients of two commands processes on one log, and what they were told. */
class Shop {
  readonly #log: EventLog
  readonly #run: string
  readonly #processes: GatedExecutor[]
  readonly #accepted = new Map<number, Accepted[]>()

  constructor(log: EventLog, run: string) {
    this.#log = log
    this.#run = run
    this.#processes = [new GatedExecutor(log), new GatedExecutor(log)]
  }

  async open(): Promise<void> {
    for (const sku of ['a', 'b']) {
      const item = { sku: `${this.#run}-${sku}`, name: 'Mug', priceCents: 100, quantity: STOCK }
      const opener = new GatedExecutor(this.#log)
      await opener.begin('add-inventory-item', item, `${this.#run}-add-${sku}`, () => undefined)
      await opener.finish()
    }
  }

  async take(action: Action): Promise<void> {
    const process = this.#processes[action.process] as GatedExecutor
    if (action.do === 'send') await this.#send(process, action.key)
    else if (action.do === 'finish') await process.finish()
    else if (process.gate.held > 0) {
      await process.gate.release(action.call, action.passage)
      if (process.gate.ended) this.#processes[action.process] = new GatedExecutor(this.#log)
    }
  }

  /** Clients that were not answered, and those that were, ask again. */
  async heal(): Promise<void> {
    for (const process of this.#processes) await process.finish()
    const last = new GatedExecutor(this.#log)
    for (let key = 0; key < KEYS; key += 1) {
      await this.#send(last, key)
      await last.finish()
    }
  }

  /** What was accepted is in the log once and as it was answered; nothing else is; nothing was oversold. */
  async expectTruth(): Promise<void> {
    const events = []
    for (const sku of ['a', 'b']) {
      for await (const page of this.#log.readStream(`inventory-item-${this.#run}-${sku}`))
        events.push(...page)
      const own = events.filter(({ stream }) => stream.endsWith(`-${sku}`))
      expect(own.map(({ version }) => version)).toEqual(own.map((_, index) => index + 1))
      let stock = 0
      for (const { type, data } of own) {
        const { quantity } = data as { quantity: number }
        stock += type === 'inventory-item-added' ? quantity : -quantity
        expect(stock, 'nothing is sold that is not there').toBeGreaterThanOrEqual(0)
      }
    }
    const sold = events.filter(({ type }) => type === 'inventory-item-sold')
    for (const [key, answers] of this.#accepted) {
      const [first] = answers
      const same = answers.map(({ replayed: _, ...answer }) => answer)
      expect(new Set(same.map((answer) => JSON.stringify(answer))).size, `answers to key ${key}`).toBe(1)
      const own = sold.filter(({ metadata }) => metadata.commandId === this.#keyOf(key))
      expect(
        own.map(({ position }) => position),
        `sales with key ${key}`,
      ).toEqual([first?.position])
    }
    const ids = sold.map(({ metadata }) => metadata.commandId)
    expect(new Set(ids).size, 'no key sold twice').toBe(ids.length)
  }

  #send(process: GatedExecutor, key: number): Promise<void> {
    const input = { sku: `${this.#run}-${key % 2 ? 'a' : 'b'}`, quantity: 1 + (key % 3) }
    return process.begin('sell-item', input, this.#keyOf(key), (outcome) => {
      expect(['accepted', 'rejected', 'conflict']).toContain(outcome.kind)
      if (outcome.kind !== 'accepted') return
      this.#accepted.set(key, [...(this.#accepted.get(key) ?? []), outcome])
    })
  }

  #keyOf(key: number): string {
    return `${this.#run}-${key}`
  }
}

const seed = testSeed()

test(
  `two processes on one log carry each key out once, wherever they end (CQRS_TEST_SEED=${seed})`,
  async () => {
    const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
    onTestFinished(() => log.close())
    const end = performance.now() + TIME_MS
    let runs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.noBias(fc.array(ACTIONS, { maxLength: 120, size: 'max' })),
        async (actions: Action[]) => {
          // A run that has begun is not broken off: it would go on beside whatever comes next.
          if (runs >= FIRST_RUNS && performance.now() > end) return
          runs += 1
          const shop = new Shop(log, `run${runs}`)
          await shop.open()
          for (const action of actions) await shop.take(action)
          await shop.expectTruth()
          await shop.heal()
          await shop.expectTruth()
        },
      ),
      { seed, numRuns: RUNS },
    )
    expect(runs).toBeGreaterThanOrEqual(FIRST_RUNS)
  },
  TIME_MS + 120_000,
)
