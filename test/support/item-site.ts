import { expect } from 'vitest'
import { acceptedAt, type InventoryCommand, request } from './inventory-client.ts'
import { runProgram } from './program.ts'
import { newSite, startSystem } from './system.ts'
import { tempFolder } from './temp-folder.ts'

/** A system of the inventory that runs only now and then, to put other files under it in between. */
export async function itemSite() {
  const site = await newSite()
  return {
    site,
    /** Adds an item. @returns its position */
    async add(sku: string): Promise<number> {
      const body = { sku, name: sku, category: 'c', priceCents: 100, quantity: 5 }
      const command: InventoryCommand = { path: '/inventory', body, idempotencyKey: crypto.randomUUID() }
      return acceptedAt(await request(`${site.http}/inventory`, { command }))
    },
    /** The items of the list, once it has a position. */
    async listed(after: number): Promise<string[]> {
      const { status, body } = await request(`${site.http}/inventory?after=${after}`)
      expect(status).toBe(200)
      return (body as { items: { sku: string }[] }).items.map(({ sku }) => sku).toSorted()
    },
    /** Runs the program on the data folder. */
    cqrs: (...args: string[]) =>
      runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine, CQRS_DATA: site.data }),
    /** Starts the system, does `work`, and stops it. */
    async whileUp(work: () => Promise<void>): Promise<void> {
      const up = await startSystem(site)
      await work()
      up.signal('SIGTERM')
      await up.exited
    },
  }
}
