import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { CommandExecutor, type CommandOutcome } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

const RUNS = 10
const CLIENTS = 6
const COMMANDS_OF_EACH = 12

/** What the stream is after each of its events. */
interface Stock {
  readonly quantity: number
  readonly priceCents: number
}

/** One command, with the head of the log before it was sent and after it was answered. */
interface Asked {
  readonly name: string
  readonly amount: number
  readonly before: number
  readonly after: number
  readonly outcome: CommandOutcome
}

type Random = ReturnType<typeof seededRandom>

/** Some turns of the event loop, or of microtasks only. */
async function aWhile(random: Random, most: number): Promise<void> {
  for (let turns = between(random, 0, most); turns > 0; turns -= 1) await (random() < 0.3 ? turn() : null)
}

/** A process on the log, whose calls of the log take longer or shorter. */
function openProcess(path: string, random: Random) {
  const log = openSqliteEventLog({ path })
  onTestFinished(() => log.close())
  const late = async <Result>(result: Promise<Result>): Promise<Result> => {
    const value = await result
    await aWhile(random, 2)
    return value
  }
  const slow: EventLog = {
    append: (request) => late(log.append(request)),
    history: (stream, options) => late(log.history(stream, options)),
    findCommand: (key) => log.findCommand(key),
    readStream: (stream, options) => log.readStream(stream, options),
    readFrom: (after, options) => log.readFrom(after, options),
    head: () => log.head(),
    close: () => log.close(),
  }
  const executor = new CommandExecutor({
    app: inventory,
    log: slow,
    streamCacheSize: 2,
    conflictRetries: 500,
    onAppended: () => undefined,
    now: () => new Date(0),
  })
  return { log, executor }
}

async function run(random: Random): Promise<{ log: EventLog; asked: Asked[] }> {
  const path = join(tempFolder(), 'events.db')
  const processes = [openProcess(path, random), openProcess(path, random)] as const
  const [{ log, executor }] = processes
  const lamp = { sku: 'lamp', name: 'Lamp', priceCents: 1, quantity: 5 }
  await executor.execute('add-inventory-item', lamp, { commandId: 'first' })
  const asked: Asked[] = []
  const client = async () => {
    for (let left = COMMANDS_OF_EACH; left > 0; left -= 1) {
      await aWhile(random, 5)
      const name = oneOf(random, ['sell-item', 'sell-item', 'restock-item', 'adjust-price'])
      const amount = between(random, 1, 6)
      const field = name === 'adjust-price' ? 'priceCents' : 'quantity'
      const before = await log.head()
      const outcome = await oneOf(random, processes).executor.execute(
        name,
        { sku: 'lamp', [field]: amount },
        { commandId: 'c' },
      )
      asked.push({ name, amount, before, after: await log.head(), outcome })
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return { log, asked }
}

/** The stock at each position, the empty log's first. */
async function stocksOf(log: EventLog): Promise<Stock[]> {
  const stocks: Stock[] = [{ quantity: 0, priceCents: 0 }]
  const { events } = await log.readFrom(0, { limit: 1_000 })
  for (const { type, data } of events) {
    const { quantity: moved = 0, priceCents } = data as Partial<Stock>
    const last = stocks.at(-1) as Stock
    const quantity = last.quantity + (type === 'inventory-item-sold' ? -moved : moved)
    stocks.push({ quantity, priceCents: priceCents ?? last.priceCents })
  }
  return stocks
}

const seed = testSeed()

test(`an answer that appended nothing was true at a moment between question and answer (CQRS_TEST_SEED=${seed})`, async () => {
  for (let offset = 0; offset < RUNS; offset += 1) {
    const { log, asked } = await run(seededRandom(seed + offset))
    const stocks = await stocksOf(log)
    expect(Math.min(...stocks.map(({ quantity }) => quantity))).toBeGreaterThanOrEqual(0)
    for (const { name, amount, before, after, outcome } of asked) {
      const meanwhile = stocks.slice(before, after + 1)
      const because = JSON.stringify({ seed: seed + offset, name, amount, before, after, outcome, meanwhile })
      if (outcome.kind === 'rejected') {
        expect(name).toBe('sell-item')
        expect(
          meanwhile.some(({ quantity }) => quantity < amount),
          because,
        ).toBe(true)
        continue
      }
      if (outcome.kind !== 'accepted') throw new Error(because)
      if (outcome.events > 0) continue
      expect(
        meanwhile.some(({ priceCents }) => priceCents === amount),
        because,
      ).toBe(true)
      // The log has this one stream alone.
      expect(outcome.version, because).toBe(outcome.position)
      expect(outcome.position >= before && outcome.position <= after, because).toBe(true)
    }
  }
})
