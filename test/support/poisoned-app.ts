import inventory from '../../src/inventory/app.ts'
import type { App } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'

/** The inventory, whose list cannot take an item that is called Broken. */
const list = inventory.projections.get('inventory-list') as ProjectionDefinition

const poisoned: ProjectionDefinition = {
  ...list,
  handler(type) {
    const handler = list.handler(type)
    if (!handler) return undefined
    return {
      ...handler,
      apply(document, event, ...rest) {
        const { name } = event.data as { name?: string }
        if (name?.startsWith('Broken')) throw new Error(`no shelf for ${name}`)
        return handler.apply(document, event, ...rest)
      },
    }
  },
}

const app: App = {
  ...inventory,
  projections: new Map([...inventory.projections, ['inventory-list', poisoned]]),
}

export default app
