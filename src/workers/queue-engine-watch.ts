import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { DurableQueue } from '../queue/queue.ts'

/** Called by this worker itself, to learn which worker the engine takes it for. */
const WHO_AM_I = 'iii::queue::whoami'
const FUNCTIONS_CHANGED = 'iii::queue::functions_changed'
const WORKERS_CHANGED = 'iii::queue::workers_changed'

const functionsChanged = z.object({ functions: z.array(z.object({ function_id: z.string() })) })
const called = z.object({ _caller_worker_id: z.string() })

/** How long to wait for the answer to a call of one's own, in milliseconds. */
const WHO_AM_I_TIMEOUT_MS = 5_000

/**
 * Tells the queue what happens on the engine: functions that have come (back), and a new link.
 *
 * The SDK does not tell that it has reconnected, and what was called over the old link is never answered.
 * But the engine announces every worker that connects, this one included, and gives it a new id with each
 * link: so after an announcement this worker asks for its own id by calling itself.
 */
export function watchEngine({ iii, queue, log }: { iii: IIIClient; queue: DurableQueue; log: Logger }): {
  stop(): void
} {
  let workerId: string | undefined
  const checkLink = async (): Promise<void> => {
    const answer: unknown = await iii.trigger({
      function_id: WHO_AM_I,
      payload: {},
      timeoutMs: WHO_AM_I_TIMEOUT_MS,
    })
    const id = z.string().safeParse(answer).data
    if (id === undefined || id === workerId) return
    if (workerId !== undefined) {
      log.info('the engine link is a new one; what was in flight is delivered again')
      queue.reconnected()
    }
    workerId = id
  }
  const internal = { metadata: { internal: true } }
  // They go with the link, not before: a call that is on its way here still finds its function.
  iii.registerFunction(
    WHO_AM_I,
    async (payload: unknown) => called.safeParse(payload).data?._caller_worker_id ?? null,
    internal,
  )
  iii.registerFunction(
    FUNCTIONS_CHANGED,
    async (payload: unknown) => {
      const { data } = functionsChanged.safeParse(payload)
      queue.functionsAvailable(data?.functions.map(({ function_id }) => function_id))
    },
    internal,
  )
  iii.registerFunction(
    WORKERS_CHANGED,
    async () => {
      queue.functionsAvailable()
      checkLink().catch((error) => log.debug({ error }, 'the engine link could not be checked'))
    },
    internal,
  )
  const triggers: { unregister(): void }[] = [
    iii.registerTrigger({ type: 'engine::functions-available', function_id: FUNCTIONS_CHANGED, config: {} }),
    iii.registerTrigger({ type: 'engine::workers-available', function_id: WORKERS_CHANGED, config: {} }),
  ]
  checkLink().catch((error) => log.debug({ error }, 'the engine link could not be checked'))
  return {
    stop: () => {
      for (const trigger of triggers) trigger.unregister()
    },
  }
}
