import { setTimeout as delay } from 'node:timers/promises'
import { type Answered, type InventoryCommand, settle, type TimedAnswer } from './client.ts'
import { between, oneOf, seededRandom } from './random.ts'

/** A command with the answer that settled it. */
export interface SettledCommand {
  readonly command: InventoryCommand
  readonly answer: Answered
}

/** A command of a load, with the times of the answer that settled it. */
interface TimedCommand extends SettledCommand {
  readonly answer: TimedAnswer
}

/** Commands under way from several clients at once. */
export interface Load {
  /** Every command that has been settled so far. */
  readonly settled: readonly TimedCommand[]
  /** Lets no client send another command. Resolves when all commands under way are settled, rejects if one was not. */
  finish(): Promise<void>
}

/** What {@link startLoad} takes. */
export interface LoadOptions {
  /** Where HTTP is served. */
  readonly http: string
  readonly seed: number
  /** The prefix of every idempotency key. On a log that has commands already, one that was never used. */
  readonly name: string
  /** How many clients work at the same time. Default 12. */
  readonly clients?: number
  /** How many items are added at the beginning. Default 12. */
  readonly items?: number
  /** The prefix of the SKUs. On an inventory that has items already, one that was never used. Default `item-`. */
  readonly prefix?: string
  /** Longest pause of a client between two commands, in milliseconds; the actual pause is random. Default 0. */
  readonly pauseMs?: number
  /** After this time a client gives up on a command, in milliseconds. Default 40,000. */
  readonly settleMs?: number
  /** Makes every client give up when it is aborted. */
  readonly signal?: AbortSignal
}

/**
 * Adds items, then keeps several clients busy with commands on them: sales and restocks that compete for the same
 * stock, new prices, new items, and now and then a discontinued item. Each client sends its next command when the one
 * before is settled.
 */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { http, seed, name, clients = 12, items = 12, prefix = 'item-', pauseMs = 0 } = options
  const settled: TimedCommand[] = []
  let finishing = false
  const send = async (command: InventoryCommand) => {
    settled.push({ command, answer: await settle(http, command, options.settleMs, options.signal) })
  }
  const skus = Array.from({ length: items }, (_, index) => `${prefix}${index}`)
  await Promise.all(skus.map((sku, index) => send(add(sku, `${name}-add-${index}`))))

  const work = async (client: number) => {
    const random = seededRandom(seed * 1_000 + client)
    for (let index = 0; !finishing; index += 1) {
      await send(nextCommand(random, { skus, prefix, idempotencyKey: `${name}-${client}-${index}` }))
      if (pauseMs > 0) await delay(between(random, 0, pauseMs))
    }
  }
  const working = Promise.all(Array.from({ length: clients }, (_, client) => work(client)))
  // finish() reports it; until then, a client that gave up is no unhandled rejection.
  working.catch(() => {})
  return {
    settled,
    async finish() {
      finishing = true
      await working
    },
  }
}

function add(sku: string, idempotencyKey: string): InventoryCommand {
  const body = {
    sku,
    name: `Item ${sku}`,
    category: 'load',
    priceCents: 250,
    quantity: 40,
    lowStockThreshold: 10,
  }
  return { path: '/inventory', body, idempotencyKey }
}

function nextCommand(
  random: () => number,
  { skus, prefix, idempotencyKey }: { skus: string[]; prefix: string; idempotencyKey: string },
): InventoryCommand {
  const sku = oneOf(random, skus)
  const on = (verb: string, body: Record<string, unknown>) => ({
    path: `/inventory/${sku}/${verb}`,
    body,
    idempotencyKey,
  })
  const choice = random()
  if (choice < 0.6) return on('sell', { quantity: between(random, 1, 6) })
  if (choice < 0.85) return on('restock', { quantity: between(random, 1, 12) })
  if (choice < 0.95) return on('price', { priceCents: between(random, 100, 110) })
  if (choice < 0.99) {
    const added = `${prefix}${skus.length + between(random, 0, 2)}`
    if (!skus.includes(added)) skus.push(added)
    return add(added, idempotencyKey)
  }
  return on('discontinue', {})
}
