import { expect } from 'vitest'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { AUDIT_START, auditStep } from '../../src/projection/audit.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { activeViewPath } from './active-view-path.ts'
import { receiptOf } from './crash-world.ts'
import { saleReceipts } from './receipts-app.ts'
import type { Site } from './system.ts'
import { until } from './until.ts'

/** What an operator gave up. */
export interface GivenUp {
  /** Positions of sales that are not applied. */
  readonly sales: ReadonlySet<number>
  /** Idempotency keys of receipts that are not sent. */
  readonly receipts: ReadonlySet<string>
}

interface Sale {
  readonly position: number
  readonly sku: string
  readonly quantity: number
}

/**
 * Checks the reactor of receipts-app.ts when everything is cured: its view is a plain fold of the sales but
 * for what was given up, its digest is that of the log, nothing is parked or waits to be sent, and every
 * receipt was taken, those of one item in their order.
 *
 * @param taken idempotency keys in the order in which they came
 */
export async function expectReceipts(site: Site, taken: readonly string[], givenUp: GivenUp): Promise<void> {
  const log = openSqliteEventLog({ path: dataPaths(site.data).events })
  const view = openSqliteViewReader(activeViewPath(site.data, saleReceipts.name), saleReceipts)
  try {
    const { events, head } = await log.readFrom(0, { limit: 1_000_000 })
    const settled = {
      position: head,
      parked: { retrying: 0, dead: 0, waiting: 0 },
      effects: { pending: 0, dead: 0 },
    }
    await until('nothing is parked, nothing is to be sent', async () => {
      expect(await view.standing()).toEqual(settled)
      return true
    })
    const sales = events
      .filter(({ type, position }) => type === 'inventory-item-sold' && !givenUp.sales.has(position))
      .map(({ position, data }) => ({ position, ...(data as object) }) as Sale)
    for (const [sku, own] of Map.groupBy(sales, (sale) => sale.sku)) {
      expect(await view.get(sku), `the receipts of ${sku}`).toEqual({
        sku,
        sales: own.length,
        quantity: own.reduce((sum, { quantity }) => sum + quantity, 0),
      })
      const keys = own.map(({ position }) => receiptOf(position)).filter((key) => !givenUp.receipts.has(key))
      const first = new Set(taken.filter((key) => keys.includes(key)))
      expect([...first], `the receipts of ${sku} that were taken`).toEqual(keys)
    }
    const step = await auditStep({
      log,
      types: new Set(['inventory-item-sold']),
      progress: AUDIT_START,
      marks: await view.marks(0),
      limit: Number.MAX_SAFE_INTEGER,
    })
    expect(step, 'the audit of the receipts').toMatchObject({ kind: 'agrees' })
  } finally {
    await view.close()
    await log.close()
  }
}
