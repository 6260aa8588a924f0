import { inventoryAlert } from '../../src/inventory/alert.ts'
import inventory from '../../src/inventory/app.ts'
import { inventoryItem } from '../../src/inventory/item.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { inventoryStats } from '../../src/inventory/stats.ts'
import { defineApp } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'

/** A list of another version, or split otherwise, as the environment says. */
const list: ProjectionDefinition = {
  ...inventoryList,
  version: Number(process.env.TEST_LIST_VERSION ?? 1),
  partitions: Number(process.env.TEST_LIST_PARTITIONS ?? 1),
}

/** The inventory as it is after its code has changed. */
export default defineApp({
  name: 'inventory',
  deciders: [inventoryItem],
  projections: [list, inventoryStats],
  reactors: [inventoryAlert],
  queries: [...inventory.queries.values()].map((query) =>
    query.projection?.name === list.name ? { ...query, projection: list } : query,
  ),
})
