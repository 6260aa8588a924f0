import type { IIIClient } from 'iii-sdk'
import { onTestFinished } from 'vitest'
import inventory from '../../src/inventory/app.ts'
import type { System } from '../../src/operator/system.ts'
import type { DurableQueueOptions } from '../../src/queue/options.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { registerQueueProvider } from '../../src/workers/queue/queue-provider.ts'
import { silent } from './queue-harness.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

type Handler = (payload: never) => Promise<unknown>

/** An error as the SDK has it of a call that went wrong. */
export const callError = (code: string, message = 'no'): Error => Object.assign(new Error(message), { code })

/**
 * The queue provider on a real store, without an engine between: what it registers is called directly, also by
 * the operator's use cases. Deliveries go to `functions`, which a test fills; the others are missing.
 */
export async function operatedQueue(
  options: Partial<Omit<DurableQueueOptions, 'store'>> = {},
  folder = tempFolder(),
) {
  const store = await openSqliteQueueStore({ folder })
  const queue = await DurableQueue.open({ store, log: silent, ...options })
  const offered = new Map<string, Handler>()
  const functions: Record<string, (payload: never) => unknown> = {}
  const reference = { unregister: () => {} }
  const iii = {
    registerFunction: (id: string, handler: Handler) => {
      offered.set(id, handler)
      return reference
    },
    registerTrigger: () => reference,
    registerTriggerType: () => reference,
    async trigger({ function_id, payload }: { function_id: string; payload: unknown }) {
      const found = functions[function_id]
      if (!found) throw callError('function_not_found')
      return found(payload as never)
    },
  } as unknown as IIIClient
  const provider = registerQueueProvider({ iii, queue, log: silent, drainMs: 0 })
  onTestFinished(() => provider.stop().then(() => undefined))
  const call = async (id: string, payload: unknown = {}): Promise<unknown> => {
    const handler = offered.get(id)
    if (!handler) throw new Error(`the provider has no function ${id}`)
    // What goes over the engine is JSON.
    return JSON.parse(JSON.stringify((await handler(JSON.parse(JSON.stringify(payload)) as never)) ?? null))
  }
  const log = { readFrom: async () => ({ events: [], through: 0, head: 0 }) }
  const others = async (id: string, payload: unknown) => (id.startsWith('ops::') ? [] : call(id, payload))
  const clocks = { now: () => new Date(), monotonic: () => performance.now() }
  const system = { app: inventory, call: others, ask: others, log, ...clocks }
  const dead = (name: string, count: number): Promise<true> =>
    until(`${count} dead letters`, async () => {
      const counts = await queue.status(name)
      return counts.reduce((sum, each) => sum + each.dead, 0) === count
    })
  return {
    store,
    queue,
    functions,
    call,
    system: system as unknown as System,
    /** Waits until a queue or topic has so many dead letters. */
    dead,
  }
}
