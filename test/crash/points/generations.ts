import { expect } from 'vitest'
import type { Boundary } from '../../../src/boundaries.ts'
import type { CrashWorld } from '../../support/crash-world.ts'
import { acceptedAt } from '../../support/inventory-client.ts'
import { saleReceipts } from '../../support/receipts-app.ts'
import { until } from '../../support/until.ts'
import type { CrashCases } from './cases.ts'

const projection = saleReceipts.name

interface Letter {
  readonly event: { readonly position: number; readonly status: string }
}

/**
 * Rebuilds the receipts while the projections worker is killed on the way: of a sale that has its receipt, none
 * is sent again; of one that was parked, and is applied by the rebuild, one is sent.
 */
function rebuildOver(boundary: Boundary) {
  return async (world: CrashWorld) => {
    const sku = `mug-${boundary}`
    await world.add(sku)
    const settled = acceptedAt(await world.sell(sku))
    await until('the first receipt is taken', () => world.timesTaken(settled) > 0)
    world.poison(sku, true)
    const parked = acceptedAt(await world.sell(sku))
    await until('the second sale is dead', async () => {
      const letters = await world.call<Letter[]>(`ops::parked::letters::${projection}`, {})
      return letters.some(({ event }) => event.position === parked && event.status === 'dead')
    })
    world.poison(sku, false)
    const rebuild = () => world.call('ops::rebuild', { projection })
    await world.killAt('projections', boundary, rebuild, { of: projection })
    await until('the second receipt is taken', () => world.timesTaken(parked) > 0, 30_000)
    const third = acceptedAt(await world.sell(sku))
    await until('the third receipt is taken', () => world.timesTaken(third) > 0)
    expect([settled, parked, third].map((position) => world.timesTaken(position))).toEqual([1, 1, 1])
  }
}

/** Views, digests and receipts are checked after each of them; what is said here comes on top. */
export const generationCases = {
  'generation-ready': rebuildOver('generation-ready'),
  'generation-swapped': rebuildOver('generation-swapped'),
  'takeover-step': rebuildOver('takeover-step'),
  'effects-taken-over': rebuildOver('effects-taken-over'),
  'takeover-noted': rebuildOver('takeover-noted'),
} satisfies CrashCases
