import { randomUUID } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'
import { LINK_LOST } from './calls-in-flight.ts'

/**
 * Resolves when the engine has taken the registrations of this process for the first time.
 *
 * The SDK does not say when it has connected. So this process offers a trigger type and binds a trigger of that very
 * type: the engine hands the binding to the type's provider, which is this process.
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

/**
 * Whether the engine answers on the link in time. Any answer counts, even that there is no such function. The engine
 * handles what a worker sends in the order in which it was sent. So once it answers, everything that was registered
 * before is in force.
 */
export async function answersOverLink(iii: Pick<IIIClient, 'trigger'>, timeoutMs: number): Promise<boolean> {
  const payload = { function_id: 'engine::functions::info' }
  try {
    await iii.trigger({ function_id: 'engine::functions::info', payload, timeoutMs })
    return true
  } catch (error) {
    const { code } = error as { code?: unknown }
    // An error without a code means that the SDK was shut down.
    return typeof code === 'string' && code !== 'TIMEOUT' && code !== LINK_LOST
  }
}
