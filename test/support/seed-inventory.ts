import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'

export interface SeedOptions {
  /** The data folder. */
  data: string
  /** At least; each item gets the same number of events. */
  events: number
  items: number
}

/**
 * Fills a log as if an inventory had long been at work: each item is added, then sold and restocked in
 * turn, with an alert at every twentieth sale.
 *
 * @returns how many events there are
 */
export async function seedInventory({ data, events, items }: SeedOptions): Promise<number> {
  const log = openSqliteEventLog({ path: dataPaths(data).events })
  const rounds = Math.ceil(events / items / 100)
  const one = async (sku: string) => {
    let version = 0
    for (let round = 0; round < rounds; round += 1) {
      const batch = Array.from({ length: 100 }, (_, index) => eventOf(sku, version + index))
      const outcome = await log.append({
        stream: `inventory-item-${sku}`,
        expectedVersion: version,
        events: batch.map((event) => ({ ...event, schemaVersion: 1 })),
        metadata: { commandId: 'seed', correlationId: 'seed' },
      })
      if (outcome.kind !== 'appended') throw new Error(`the log is not empty: ${outcome.kind}`)
      version += 100
    }
  }
  await Promise.all(Array.from({ length: items }, (_, index) => one(`seeded-${index}`)))
  const head = await log.head()
  await log.close()
  return head
}

function eventOf(sku: string, index: number) {
  if (index === 0) {
    const item = { sku, name: sku, category: 'seed', priceCents: 100, quantity: 20, lowStockThreshold: 10 }
    return { type: 'inventory-item-added', data: item }
  }
  const quantity = Math.ceil(index / 2) % 20 === 0 ? 10 : 1
  return index % 2 === 1
    ? { type: 'inventory-item-sold', data: { sku, quantity, totalCents: quantity * 100 } }
    : { type: 'inventory-item-restocked', data: { sku, quantity } }
}
