import { expect } from 'vitest'
import type { Boundary } from '../../../src/boundaries.ts'
import { inventoryList } from '../../../src/inventory/list.ts'
import type { CrashWorld } from '../../support/crash-world.ts'
import { saleReceipts } from '../../support/receipts-app.ts'
import { until } from '../../support/until.ts'
import type { CrashCases } from './cases.ts'

const projection = saleReceipts.name

interface Letter {
  readonly event: {
    readonly position: number
    readonly sequence: string
    readonly status: string
    readonly attempts: number
    readonly failures: readonly { readonly message: string }[]
  }
  readonly waiting: number
}

/** Sells while the projections worker is killed as it applies the sale. */
function applyOver(boundary: Boundary, of?: string) {
  return async (world: CrashWorld) => {
    const sku = `mug-${boundary}`
    await world.add(sku)
    await world.killAt('projections', boundary, () => world.sell(sku), of ? { of } : {})
  }
}

/** The letter of an item, once there is one that is as `isMeant` says. */
async function letterOf(
  world: CrashWorld,
  sku: string,
  isMeant: (letter: Letter) => boolean = () => true,
): Promise<Letter> {
  return until(`${sku} has a letter`, async () => {
    const letters = await world.call<Letter[]>(`ops::parked::letters::${projection}`, {})
    return letters.find((letter) => letter.event.sequence.endsWith(sku) && isMeant(letter))
  })
}

/** Sells some of an item whose handler fails, until the first sale is dead and the others wait behind it. */
async function deadSales(world: CrashWorld, sku: string): Promise<Letter> {
  await world.add(sku)
  world.poison(sku, true)
  for (const quantity of [1, 20, 300]) await world.sell(sku, quantity)
  return letterOf(world, sku, ({ event, waiting }) => event.status === 'dead' && waiting === 2)
}

/** Views, digests and receipts are checked after each of them; what is said here comes on top. */
export const projectionCases = {
  'batch-read': applyOver('batch-read', inventoryList.name),
  'trial-begun': applyOver('trial-begun', inventoryList.name),
  'batch-folded': applyOver('batch-folded', inventoryList.name),
  'view-written': applyOver('view-written', inventoryList.name),
  'batch-stored': applyOver('batch-stored', inventoryList.name),
  'advance-answered': applyOver('advance-answered'),

  async 'event-parked'(world) {
    const sku = 'mug-event-parked'
    await world.add(sku)
    world.poison(sku, true)
    await world.killAt('projections', 'event-parked', () => world.sell(sku), { of: projection })
    const { event } = await letterOf(world, sku)
    expect(event.failures[0]?.message).toBe(`${sku} is poisoned`)
    await world.sell(sku, 20)
    await letterOf(world, sku, ({ waiting }) => waiting === 1)
    world.poison(sku, false)
    await world.call(`ops::parked::redrive::${projection}`, { position: event.position }).catch(() => {})
  },

  async 'retry-failed'(world) {
    const sku = 'mug-retry-failed'
    await world.add(sku)
    world.poison(sku, true)
    await world.killAt('projections', 'retry-failed', () => world.sell(sku), { of: projection })
    const { position } = (await letterOf(world, sku, ({ event }) => event.status === 'dead')).event
    const { event } = await world.call<Pick<Letter, 'event'>>(`ops::parked::show::${projection}`, {
      position,
    })
    expect(event.attempts, 'no attempt is forgotten, none counted twice').toBe(3)
    expect(event.failures.map(({ message }) => message)).toEqual(Array(3).fill(`${sku} is poisoned`))
    world.poison(sku, false)
    await world.call(`ops::parked::redrive::${projection}`, { position: event.position })
  },

  async 'letter-dead'(world) {
    const sku = 'mug-letter-dead'
    await world.add(sku)
    world.poison(sku, true)
    await world.killAt('projections', 'letter-dead', () => world.sell(sku), { of: projection })
    world.poison(sku, false)
    await world.sell(sku, 20)
    const { event } = await letterOf(world, sku, ({ waiting }) => waiting === 1)
    expect(event, 'it waits for an operator, though the cause is gone').toMatchObject({
      status: 'dead',
      attempts: 3,
    })
    expect(await world.call(`ops::parked::redrive::${projection}`, { position: event.position })).toEqual({
      redriven: 2,
    })
  },

  async 'retry-stored'(world) {
    const sku = 'mug-retry-stored'
    const { event } = await deadSales(world, sku)
    world.poison(sku, false)
    const redrive = () => world.lastCall(`ops::parked::redrive::${projection}`, { position: event.position })
    await world.killAt('projections', 'retry-stored', redrive, { of: projection })
  },

  async 'letter-redriven'(world) {
    const sku = 'mug-letter-redriven'
    const { event } = await deadSales(world, sku)
    world.poison(sku, false)
    const redrive = () => world.lastCall(`ops::parked::redrive::${projection}`, { position: event.position })
    await world.killAt('projections', 'letter-redriven', redrive, { of: projection })
  },

  async 'letter-discarded'(world) {
    const sku = 'mug-letter-discarded'
    const { position } = (await deadSales(world, sku)).event
    world.poison(sku, false)
    const discard = () =>
      world.lastCall(`ops::parked::discard::${projection}`, { position, by: 'ada', reason: 'was never sold' })
    await world.killAt('projections', 'letter-discarded', discard, { of: projection })
    world.givenUp.sales.add(position)
    expect(world.discarded()).toContainEqual({ position, discarded_by: 'ada', reason: 'was never sold' })
  },
} satisfies CrashCases
