import { z } from 'zod'
import { type Answer, type Client, codeOf } from './client.ts'
import type { OrderLine, Product } from './superstore.ts'

/** What became of the commands of one phase. */
export interface Driven {
  readonly accepted: number
  readonly refused: number
  /** The positions of the events in the log. */
  readonly positions: readonly number[]
}

export interface DriveOptions {
  readonly client: Client
  /** Requests under way at the same time. */
  readonly concurrency: number
  /** Called after each command with how many are done. */
  onProgress(done: number): void
}

const appended = z.object({ position: z.number(), events: z.literal(1) })

/** Adds every product with `POST /inventory`. @throws Error at the first answer that nobody expects */
export function addProducts(products: readonly Product[], options: DriveOptions): Promise<Driven> {
  return drive(
    products.map((product) => [product]),
    ({ sku, name, category, priceCents, initialStock, lowStockThreshold }) =>
      options.client.post(
        '/inventory',
        { sku, name, category, priceCents, quantity: initialStock, lowStockThreshold },
        `add-${sku}`,
      ),
    options,
  )
}

/**
 * Sells every line with `POST /inventory/:sku/sell`: the lines of one product one after the other, in the
 * order of the file, because they compete for its stock; different products at the same time.
 *
 * @throws Error at the first answer that is neither a success nor "insufficient stock"
 */
export function sellLines(lines: readonly OrderLine[], options: DriveOptions): Promise<Driven> {
  return drive(
    [...Map.groupBy(lines, ({ sku }) => sku).values()],
    ({ row, sku, quantity, totalCents }) =>
      options.client.post(
        `/inventory/${encodeURIComponent(sku)}/sell`,
        { quantity, totalCents },
        `sell-${row}`,
      ),
    options,
  )
}

/** Runs sequences of commands side by side; within one, a command is sent when the one before is answered. */
async function drive<Item>(
  sequences: readonly (readonly Item[])[],
  send: (item: Item) => Promise<Answer>,
  { concurrency, onProgress }: DriveOptions,
): Promise<Driven> {
  const positions: number[] = []
  let refused = 0
  const next = sequences.values()
  const lane = async () => {
    for (const sequence of next) {
      for (const item of sequence) {
        const { status, body } = await send(item)
        if (status === 200 || status === 201) positions.push(appended.parse(body).position)
        else if (status === 409 && codeOf(body) === 'insufficient_stock') refused += 1
        else throw new Error(`${JSON.stringify(item)} was answered ${status} ${JSON.stringify(body)}`)
        onProgress(positions.length + refused)
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  return { accepted: positions.length, refused, positions }
}
