import { inventoryAlert } from '../../src/inventory/alert.ts'
import inventory from '../../src/inventory/app.ts'
import { inventoryItem } from '../../src/inventory/item.ts'
import { inventoryList } from '../../src/inventory/list.ts'
import { inventoryStats } from '../../src/inventory/stats.ts'
import { defineApp } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'

/** What was changed in the code; the rest is as in the inventory. */
export type Versions = Readonly<
  Partial<
    Record<
      'TEST_LIST_VERSION' | 'TEST_LIST_PARTITIONS' | 'TEST_ALERT_VERSION' | 'TEST_ALERT_PARTITIONS',
      string
    >
  >
>

/** The inventory with a list and a reactor of other versions, or split otherwise. */
export function versionedInventory(versions: Versions) {
  const list: ProjectionDefinition = {
    ...inventoryList,
    version: Number(versions.TEST_LIST_VERSION ?? 1),
    partitions: Number(versions.TEST_LIST_PARTITIONS ?? 1),
  }
  const alert: ProjectionDefinition = {
    ...inventoryAlert,
    version: Number(versions.TEST_ALERT_VERSION ?? 1),
    partitions: Number(versions.TEST_ALERT_PARTITIONS ?? 1),
  }
  return defineApp({
    name: 'inventory',
    deciders: [inventoryItem],
    projections: [list, inventoryStats],
    reactors: [alert],
    queries: [...inventory.queries.values()].map((query) =>
      query.projection?.name === list.name ? { ...query, projection: list } : query,
    ),
  })
}

/** The inventory as it is after its code has changed, as the environment says. */
export default versionedInventory(process.env as Versions)
