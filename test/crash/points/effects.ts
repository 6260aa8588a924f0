import { expect } from 'vitest'
import type { Boundary } from '../../../src/boundaries.ts'
import { type CrashWorld, receiptOf } from '../../support/crash-world.ts'
import { acceptedAt } from '../../support/inventory-client.ts'
import { saleReceipts } from '../../support/receipts-app.ts'
import { until } from '../../support/until.ts'
import type { CrashCases } from './cases.ts'

const projection = saleReceipts.name

/** Sells while the projections worker is killed as it handles the receipt. @returns the sale's position */
async function sellOver(world: CrashWorld, boundary: Boundary): Promise<number> {
  const sku = `mug-${boundary}`
  await world.add(sku)
  const sold = await world.killAt('projections', boundary, () => world.sell(sku), { of: projection })
  return acceptedAt(sold)
}

/** Sells once more and sees the receipt of that taken; what was before it is over by then. */
async function nextReceipt(world: CrashWorld, boundary: Boundary): Promise<void> {
  const position = acceptedAt(await world.sell(`mug-${boundary}`))
  await until('the next receipt is taken', () => world.timesTaken(position) > 0)
}

const deadReceipts = async (world: CrashWorld) =>
  (await world.call<{ idempotencyKey: string }[]>(`ops::effects::dead::${projection}`, {})).map(
    ({ idempotencyKey }) => idempotencyKey,
  )

/** A receipt that failed until it was dead; then the cause is gone. @returns the sale's position */
async function deadReceipt(world: CrashWorld, boundary: Boundary): Promise<number> {
  const sku = `mug-${boundary}`
  await world.add(sku)
  world.failing.receipts = true
  const position = acceptedAt(await world.sell(sku))
  await until('the receipt is dead', async () => (await deadReceipts(world)).includes(receiptOf(position)))
  world.failing.receipts = false
  return position
}

/** Views, digests and receipts are checked after each of them; what is said here comes on top. */
export const effectCases = {
  async 'effect-recorded'(world) {
    const position = await sellOver(world, 'effect-recorded')
    await nextReceipt(world, 'effect-recorded')
    expect(world.timesTaken(position)).toBe(1)
  },

  async 'effect-sent'(world) {
    const position = await sellOver(world, 'effect-sent')
    await nextReceipt(world, 'effect-sent')
    expect(world.timesTaken(position), 'sent again, under the same key').toBe(2)
  },

  async 'effect-forgotten'(world) {
    const position = await sellOver(world, 'effect-forgotten')
    await nextReceipt(world, 'effect-forgotten')
    expect(world.timesTaken(position)).toBe(1)
  },

  async 'effect-dead'(world) {
    world.failing.receipts = true
    const position = await sellOver(world, 'effect-dead')
    world.failing.receipts = false
    await nextReceipt(world, 'effect-dead')
    expect(world.timesTaken(position), 'what is dead is not sent again').toBe(3)
    expect(await deadReceipts(world)).toEqual([receiptOf(position)])
    expect(await world.call(`ops::effects::redrive::${projection}`, {})).toEqual({ redriven: 1 })
    await until('it is taken after all', () => world.timesTaken(position) === 4)
  },

  async 'effect-redriven'(world) {
    const position = await deadReceipt(world, 'effect-redriven')
    const redrive = () => world.lastCall(`ops::effects::redrive::${projection}`, {})
    await world.killAt('projections', 'effect-redriven', redrive, { of: projection })
    await until('it is taken after all', () => world.timesTaken(position) === 4)
    await nextReceipt(world, 'effect-redriven')
    expect(world.timesTaken(position)).toBe(4)
  },

  async 'effect-discarded'(world) {
    const position = await deadReceipt(world, 'effect-discarded')
    const idempotencyKey = receiptOf(position)
    const discard = () =>
      world.lastCall(`ops::effects::discard::${projection}`, {
        idempotencyKey,
        by: 'ada',
        reason: 'on paper',
      })
    await world.killAt('projections', 'effect-discarded', discard, { of: projection })
    world.givenUp.receipts.add(idempotencyKey)
    expect(world.discarded()).toContainEqual({ position, discarded_by: 'ada', reason: 'on paper' })
    await nextReceipt(world, 'effect-discarded')
    expect(await deadReceipts(world)).toEqual([])
    expect(world.timesTaken(position), 'it is not sent again').toBe(3)
  },
} satisfies CrashCases
