import { randomUUID } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'

/** The link of this process to the engine, as far as the SDK lets one know of it. */
export interface Link {
  /** Resolves when the engine took our registrations for the first time. */
  readonly connected: Promise<void>
  /** Calls `listener` each time the link came back. Returns a function that ends it. */
  onReconnected(listener: () => void): () => void
}

/**
 * Watches the link. The SDK tells nobody when it connects, but it registers everything again each time. So
 * this process offers a trigger type and binds a trigger of that very type: the engine hands the binding
 * to the type's provider, which is this process, once per connection.
 */
export function watchLink(iii: IIIClient): Link {
  const id = `cqrs::link::${randomUUID()}`
  const listeners = new Set<() => void>()
  const first = Promise.withResolvers<void>()
  let seen = false
  const type = iii.registerTriggerType(
    { id, description: 'Tells one worker process of iii-durable-cqrs that its link is up.' },
    {
      async registerTrigger() {
        if (seen) for (const listener of [...listeners]) listener()
        seen = true
        first.resolve()
      },
      async unregisterTrigger() {},
    },
  )
  type.registerTrigger(id, {})
  return {
    connected: first.promise,
    onReconnected(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
