import { expect } from 'vitest'
import type { CrashWorld } from '../../support/crash-world.ts'
import { request } from '../../support/inventory-client.ts'
import type { CrashCases } from './cases.ts'

/** Sells while the commands worker is killed; the client tries again with its key until it is answered. */
async function sellOver(world: CrashWorld, boundary: keyof typeof commandCases, of?: string) {
  const sku = `mug-${boundary}`
  await world.add(sku)
  return world.killAt('commands', boundary, () => world.sell(sku), of ? { of } : {})
}

const isReplay = ({ headers }: { headers: Headers }) => headers.get('idempotent-replayed') === 'true'

/** Each is followed by a look at every acknowledged command, so that what is said here comes on top. */
export const commandCases = {
  async 'append-written'(world) {
    const answer = await sellOver(world, 'append-written')
    expect(answer.status).toBe(200)
    expect(answer.retries).toBeGreaterThan(0)
    expect(isReplay(answer), 'nothing was left of the first try').toBe(false)
  },

  async 'append-stored'(world) {
    const answer = await sellOver(world, 'append-stored')
    expect(answer.status).toBe(200)
    expect(answer.retries).toBeGreaterThan(0)
    expect(isReplay(answer), 'the answer is that of the first try').toBe(true)
  },

  async 'append-answered'(world) {
    const answer = await sellOver(world, 'append-answered')
    expect(answer.retries).toBeGreaterThan(0)
    expect(isReplay(answer), 'the answer is that of the first try').toBe(true)
  },

  async 'command-answered'(world) {
    const answer = await sellOver(world, 'command-answered')
    expect(answer.retries, 'the first try was answered').toBe(0)
    expect(isReplay(answer)).toBe(false)
    const [last] = world.settled.slice(-1)
    const again = await request(`${world.site.http}/inventory/mug-command-answered/sell`, {
      command: last?.command ?? { body: {}, idempotencyKey: 'none' },
    })
    expect(isReplay(again)).toBe(true)
    expect(again.body).toEqual(answer.body)
  },

  async 'enqueue-sent'(world) {
    const answer = await sellOver(world, 'enqueue-sent', 'inventory-list')
    expect(answer.status).toBe(200)
  },

  async 'enqueue-answered'(world) {
    const answer = await sellOver(world, 'enqueue-answered', 'inventory-list')
    expect(answer.status).toBe(200)
  },
} satisfies CrashCases
