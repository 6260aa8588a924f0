import { expect, test } from 'vitest'
import inventory from '../../src/inventory/app.ts'
import { auditProjection } from '../../src/operator/audit.ts'
import { renderAudit } from '../../src/operator/cli/audit.ts'
import type { System } from '../../src/operator/system.ts'
import { EMPTY_DIGEST } from '../../src/projection/digest.ts'

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

test('an audit tells of events whose type was renamed in the app, which every view of it lacks', async () => {
  const type = 'inventory-item-added-before'
  const events = [1, 2, 3].map((position) => ({ position, id: `e${position}`, stream: 's', type }))
  const target = { position: 2, processed: 0, digest: EMPTY_DIGEST }
  const system = {
    app: inventory,
    log: { readFrom: async () => ({ events: events.slice(0, 2), through: 2, head: 3 }) },
    standing: async () => ({ parked: { retrying: 0, dead: 0, waiting: 0 } }),
    marks: async () => [target],
  } as unknown as System
  const { progress, finding } = await auditProjection(system, { projection: 'inventory-list' })
  expect(finding).toBeUndefined()
  expect(progress.undefinedTypes).toEqual({ [type]: 2 })
  // What one stretch answers the next one takes.
  const last = { ...target, position: 3 }
  const rest = { readFrom: async () => ({ events: events.slice(2), through: 3, head: 3 }) }
  const next = { ...system, marks: async () => [last], log: rest } as unknown as System
  const answer = await auditProjection(next, { projection: 'inventory-list', progress, target: last })
  expect(answer.progress.undefinedTypes).toEqual({ [type]: 3 })
})

test('a view that was made while the app still had a type is not told to be rebuilt without it', async () => {
  const type = 'inventory-item-added-before'
  const events = [1, 2].map((position) => ({ position, id: `e${position}`, stream: 's', type }))
  const system = {
    app: inventory,
    log: { readFrom: async () => ({ events, through: 2, head: 2 }) },
    standing: async () => ({ parked: { retrying: 0, dead: 0, waiting: 0 } }),
    marks: async () => [{ position: 2, processed: 2, digest: 'of these two' }],
  } as unknown as System
  const answer = await auditProjection(system, { projection: 'inventory-list' })
  expect(answer.finding).toMatchObject({ kind: 'differs', undefinedTypes: { [type]: 2 } })
  const line = renderAudit(answer)
  expect(line).toContain('NOT certified')
  expect(line).toContain(
    `${type}. If the app was changed and they were removed or renamed, the view is right`,
  )
  expect(line).toContain('do not rebuild')
})
