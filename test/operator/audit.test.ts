import { expect, test } from 'vitest'
import inventory from '../../src/inventory/app.ts'
import { auditProjection } from '../../src/operator/audit.ts'
import type { System } from '../../src/operator/system.ts'

test('a stretch of an audit reads its own marks only, however many the view has', async () => {
  const asked: number[][] = []
  const system = {
    app: inventory,
    standing: async () => ({ parked: { retrying: 0, dead: 0, waiting: 0 } }),
    marks: async (_unit: string, after: number, through: number) => {
      asked.push([after, through])
      return []
    },
  } as unknown as System
  const progress = { position: 70_000, processed: 70_000, digest: 'd', agreed: 70_000 }
  const target = { position: 70_000, processed: 70_000, digest: 'd' }
  await auditProjection(system, { projection: 'inventory-list', progress, target })
  expect(asked).toEqual([[70_000, 80_000]])
})
