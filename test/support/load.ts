import { type Answered, type InventoryCommand, settle } from './inventory-client.ts'
import { between, oneOf, seededRandom } from './random.ts'
import { until } from './until.ts'

/** A command with the answer that settled it. */
export interface SettledCommand {
  readonly command: InventoryCommand
  readonly answer: Answered
}

/** Commands under way from several clients at once. */
export interface Load {
  /** Every command that was settled so far. */
  readonly settled: readonly SettledCommand[]
  /** No client begins another command; resolves when all that are out are settled. */
  finish(): Promise<void>
}

export interface LoadOptions {
  http: string
  seed: number
  /** Clients at work at the same time. Default 12. */
  clients?: number
  /** Items that are there from the beginning. Default 12. */
  items?: number
}

/**
 * Adds items, then keeps several clients busy with commands on them: sales and restocks that compete for
 * the same stock, new prices, new items, now and then the end of one. Each client sends its next command
 * when the one before is settled.
 */
export async function startLoad({ http, seed, clients = 12, items = 12 }: LoadOptions): Promise<Load> {
  const settled: SettledCommand[] = []
  let finishing = false
  const send = async (command: InventoryCommand) => {
    settled.push({ command, answer: await settle(http, command) })
  }
  const skus = Array.from({ length: items }, (_, index) => `item-${index}`)
  await Promise.all(skus.map((sku, index) => send(add(sku, `${seed}-add-${index}`))))

  const work = async (client: number) => {
    const random = seededRandom(seed * 1_000 + client)
    for (let index = 0; !finishing; index += 1) {
      await send(nextCommand(random, skus, `${seed}-${client}-${index}`))
    }
  }
  const working = Promise.all(Array.from({ length: clients }, (_, client) => work(client)))
  // Whoever finishes hears of it; until then a client that gave up is no unhandled rejection.
  working.catch(() => {})
  return {
    settled,
    async finish() {
      finishing = true
      await working
    },
  }
}

/** Resolves when `count` further commands are settled. */
export async function settledMore(load: Load, count: number): Promise<void> {
  const wanted = load.settled.length + count
  await until(`${count} further commands are settled`, () => load.settled.length >= wanted, 30_000)
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

function nextCommand(random: () => number, skus: string[], idempotencyKey: string): InventoryCommand {
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
    const added = `item-${skus.length + between(random, 0, 2)}`
    if (!skus.includes(added)) skus.push(added)
    return add(added, idempotencyKey)
  }
  return on('discontinue', {})
}
