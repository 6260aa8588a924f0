import { randomUUID } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'

/**
 * Resolves when the engine has taken the registrations of this process for the first time.
 *
 * The SDK tells nobody when it connects. So this process offers a trigger type and binds a trigger of that
 * very type: the engine hands the binding to the type's provider, which is this process.
 */
export function connected(iii: IIIClient): Promise<void> {
  const id = `cqrs::link::${randomUUID()}`
  const { promise, resolve } = Promise.withResolvers<void>()
  const type = iii.registerTriggerType(
    { id, description: 'Tells one worker process of iii-durable-cqrs that its link is up.' },
    { registerTrigger: async () => resolve(), async unregisterTrigger() {} },
  )
  type.registerTrigger(id, {})
  return promise
}
