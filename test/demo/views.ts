import { z } from 'zod'
import type { Client } from './client.ts'
import type { Totals } from './fold.ts'

const item = z.object({
  sku: z.string(),
  name: z.string(),
  stock: z.number(),
  unitsSold: z.number(),
  revenueCents: z.number(),
})

/** A product as the list shows it. */
export type Item = z.infer<typeof item>

const page = z.object({ items: z.array(item), next: z.string().optional() })

const stats = z.object({
  items: z.number(),
  unitsInStock: z.number(),
  unitsSold: z.number(),
  sales: z.number(),
  revenueCents: z.number(),
})

/** What the views answer. */
export interface Views {
  readonly items: readonly Item[]
  readonly topTen: readonly Item[]
  readonly stats: Totals
}

/** Waits until the views have got to a position. @throws Error if they do not within a few minutes */
export async function waitForViews(client: Client, after: number): Promise<void> {
  await Promise.all([
    read(client, '/inventory', page, { limit: 1, after }),
    read(client, '/inventory/stats', stats, { after }),
  ])
}

/** Reads the whole list page by page, the ten products with the most revenue, and the totals. */
export async function readViews(client: Client): Promise<Views> {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const { items: more, next } = await read(client, '/inventory', page, {
      limit: 500,
      ...(cursor !== undefined && { cursor }),
    })
    items.push(...more)
    cursor = next
  } while (cursor !== undefined)
  const top = { sort: 'revenueCents', order: 'descending', limit: 10 }
  return {
    items,
    topTen: (await read(client, '/inventory', page, top)).items,
    stats: await read(client, '/inventory/stats', stats, {}),
  }
}

async function read<Schema extends z.ZodType>(
  client: Client,
  path: string,
  schema: Schema,
  query: Readonly<Record<string, string | number>>,
): Promise<z.infer<Schema>> {
  const { status, body } = await client.get(path, query)
  if (status === 200) return schema.parse(body)
  throw new Error(`GET ${path} ${JSON.stringify(query)} was answered ${status} ${JSON.stringify(body)}`)
}
