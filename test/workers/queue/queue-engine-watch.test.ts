import type { IIIClient } from 'iii-sdk'
import { expect, onTestFinished, test } from 'vitest'
import { DurableQueue } from '../../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../../src/queue/sqlite/store.ts'
import { registerQueueProvider } from '../../../src/workers/queue/queue-provider.ts'
import { callError } from '../../support/operated-queue.ts'
import { silent } from '../../support/queue-harness.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import { eventually } from '../../support/until.ts'

type Handler = (payload: unknown) => Promise<unknown>

/** What the SDK does over links that can break: what is called over one that breaks is never answered. */
function links() {
  const offered = new Map<string, Handler>()
  const delivered: number[] = []
  let link = 1
  let isMute = true
  const reference = { unregister: () => {} }
  const iii = {
    registerFunction(id: string, handler: Handler) {
      offered.set(id, handler)
      return reference
    },
    registerTrigger: () => reference,
    registerTriggerType: () => reference,
    async trigger({ function_id, payload }: { function_id: string; payload: object }) {
      if (function_id === 'job::run') delivered.push(link)
      if (isMute) return new Promise(() => {})
      if (function_id === 'job::run') return null
      if (function_id === 'engine::functions::info') return {}
      const handler = offered.get(function_id)
      if (!handler) throw callError('function_not_found')
      return handler({ ...payload, _caller_worker_id: `worker-${link}` })
    },
  } as unknown as IIIClient
  const announce = () => {
    for (const [id, handler] of offered) if (id.startsWith('iii::queue::workers::')) void handler({})
  }
  return {
    iii,
    delivered,
    /** The link breaks, and there is a new one, over which there are answers. */
    breakOnce() {
      link += 1
      isMute = false
      announce()
    },
  }
}

test('a message is delivered though the first link breaks before the engine has answered anything', async () => {
  const store = await openSqliteQueueStore({ folder: tempFolder() })
  const queue = await DurableQueue.open({ store, log: silent, queues: { jobs: {} } })
  await queue.enqueue({ queue: 'jobs', functionId: 'job::run', data: {}, id: 'a' })
  const { iii, delivered, breakOnce } = links()
  const provider = registerQueueProvider({ iii, queue, log: silent, drainMs: 0 })
  onTestFinished(() => provider.stop().then(() => undefined))
  // Time for a delivery over the first link, if there is to be one.
  for (let round = 0; round < 5; round += 1) await store.queues()
  breakOnce()
  await eventually(() => delivered.includes(2), 5_000)
  expect(delivered).toEqual([2])
  expect((await queue.list(['jobs']))[0]).toMatchObject({ dead: 0 })
})
