import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { DurableQueue } from '../../queue/queue.ts'

const functionsChanged = z.object({ functions: z.array(z.object({ function_id: z.string() })) })
const called = z.object({ _caller_worker_id: z.string() })

/** How long to wait for an answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000

/** How long to wait before asking the engine again, as long as it has not answered, in milliseconds. */
const ASK_AGAIN_MS = 1_000

interface WatchOptions {
  iii: IIIClient
  queue: DurableQueue
  log: Logger
  /** A function of the provider: if it is gone, all of them are. */
  functionId: string
  /** Called when the engine does not have the provider's functions (any more). */
  onLost: () => void
  /** Called once, after the first answer of the engine. From then on, a broken link is noticed. */
  onLink: () => void
}

/**
 * Follows what happens on the engine: functions that have come (back), a new link, and the loss of the provider's own
 * functions.
 *
 * The SDK does not say that it has reconnected, and calls over the old link are never answered. But the engine
 * announces every worker that connects, including this one, and gives it a new id with each link. So after an
 * announcement this worker learns its own id by calling itself.
 *
 * A new link can be recognized only if the one before is known, so nothing must be delivered before
 * {@link WatchOptions.onLink}.
 *
 * An engine may drop functions when the link of an earlier provider ends, or refuse them while that link lingers. So at
 * each change this worker checks whether its functions are there.
 */
export function watchEngine(options: WatchOptions): { stop(): void } {
  const { iii, queue, log, functionId, onLost, onLink } = options
  // The ids are unique to this process, so that they do not depend on what another provider has registered.
  const own = (name: string): string => `iii::queue::${name}::${randomUUID()}`
  const [whoAmI, functionsCame, workersCame] = [own('whoami'), own('functions'), own('workers')]
  let workerId: string | undefined
  let linked = false
  let stopped = false
  const ask = (function_id: string, payload: object): Promise<unknown> =>
    iii.trigger({ function_id, payload, timeoutMs: ANSWER_TIMEOUT_MS })
  /** Called with every answer, even an error: each shows that the link is up. */
  const linkIsUp = (): void => {
    if (linked || stopped) return
    linked = true
    onLink()
  }
  const checkLink = async (): Promise<void> => {
    const answer = await ask(whoAmI, {}).catch((error: { code?: unknown }) => {
      if (typeof error.code === 'string' && error.code !== 'TIMEOUT') linkIsUp()
      throw error
    })
    const id = z.string().safeParse(answer).data
    if (id !== undefined && id !== workerId) {
      if (workerId !== undefined) {
        log.info('the link to the engine is a new one; messages that were in flight are delivered again')
        queue.reconnected()
      }
      workerId = id
    }
    linkIsUp()
  }
  const checkFunctions = async (): Promise<void> => {
    try {
      await ask('engine::functions::info', { function_id: functionId })
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'NOT_FOUND') throw error
      if (stopped) return
      log.warn('the engine has lost the functions of the queue; registering them again')
      onLost()
    }
  }
  const orSay = (checking: Promise<void>): Promise<void> =>
    checking.catch((error) => log.debug({ err: error }, 'the engine could not be checked'))
  const check = (): void => {
    void orSay(checkLink())
    void orSay(checkFunctions())
  }
  /** Asks repeatedly: an engine that is away announces nothing, and a question is lost if the link breaks. */
  const checkUntilLinked = async (): Promise<void> => {
    while (!linked && !stopped) {
      await orSay(checkLink())
      if (!linked) await delay(ASK_AGAIN_MS, undefined, { ref: false })
    }
  }
  const internal = { metadata: { internal: true } }
  // They stay until the link ends, so that a call that is on its way here still finds its function.
  iii.registerFunction(
    whoAmI,
    async (payload: unknown) => called.safeParse(payload).data?._caller_worker_id ?? null,
    internal,
  )
  iii.registerFunction(
    functionsCame,
    async (payload: unknown) => {
      const { data } = functionsChanged.safeParse(payload)
      queue.functionsAvailable(data?.functions.map(({ function_id }) => function_id))
      check()
    },
    internal,
  )
  iii.registerFunction(
    workersCame,
    async () => {
      queue.functionsAvailable()
      check()
    },
    internal,
  )
  const triggers: { unregister(): void }[] = [
    iii.registerTrigger({ type: 'engine::functions-available', function_id: functionsCame, config: {} }),
    iii.registerTrigger({ type: 'engine::workers-available', function_id: workersCame, config: {} }),
  ]
  void checkUntilLinked()
  void orSay(checkFunctions())
  return {
    stop: () => {
      stopped = true
      for (const trigger of triggers) trigger.unregister()
    },
  }
}
