import { inventoryAlert } from '../../src/inventory/alert.ts'
import inventory from '../../src/inventory/app.ts'
import { inventoryItem } from '../../src/inventory/item.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { inventoryStats } from '../../src/inventory/stats.ts'
import { defineApp } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'

const list: ProjectionDefinition = { ...inventoryList, partitions: 4 }
const alert: ProjectionDefinition = { ...inventoryAlert, partitions: 2 }

/** The inventory with its list and its reactor split into partitions; the stats cannot be split. */
export default defineApp({
  name: 'inventory',
  deciders: [inventoryItem],
  projections: [list, inventoryStats],
  reactors: [alert],
  queries: [...inventory.queries.values()].map((query) =>
    query.projection?.name === list.name ? { ...query, projection: list } : query,
  ),
})
