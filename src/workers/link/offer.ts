import { randomUUID } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { HttpRoute } from '../../kernel/http-route.ts'
import { httpTrigger } from './http.ts'
import { withinFrame } from './within-frame.ts'

/** A function that a role offers on the engine, with its HTTP route if it has one. */
export interface OfferedFunction {
  readonly id: string
  readonly description: string
  readonly http?: HttpRoute | undefined
  handle(payload: unknown, metadata: unknown): Promise<unknown>
}

/** Something that was registered on the engine. */
export interface Registration {
  unregister(): void
}

/** How long the engine may take to say which functions it has, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000

const functionList = z.object({ functions: z.array(z.object({ function_id: z.string() })) })

/** The functions that one process offers on the engine; more can join and leave at any time. */
export interface Offering {
  /** Registers functions. The returned registration withdraws them. */
  add(functions: readonly OfferedFunction[]): Promise<Registration>
  /** Stops watching over the functions. Those that were not withdrawn go when the link ends. */
  close(): void
}

/**
 * Registers functions on the engine, and keeps them registered. A function has one owner. If two workers register the
 * same id, the last one keeps it (iii 0.22), or the first one does (iii 0.23 and later, which refuses the other one
 * silently). When the owner goes, the function is gone, even though the other worker still lives. So at each change
 * that the engine announces, this worker checks whether its functions are there, and registers the missing ones again.
 * A function that another worker has is left to it, so that the two do not fight.
 */
export function openOffering(iii: IIIClient, log: Logger): Offering {
  const registered = new Map<OfferedFunction, Registration[]>()
  const withdraw = (offered: OfferedFunction) => {
    // The route goes before its function: a request in between would be told that the function does not exist.
    for (const registration of registered.get(offered)?.toReversed() ?? []) registration.unregister()
    registered.delete(offered)
  }
  const watch = watchChanges(iii, log, async () => {
    // A function that is added while the engine answers is not in the answer, but is not lost either.
    const expected = [...registered.keys()]
    const present = await functionsOf(iii)
    const lost = expected.filter((offered) => registered.has(offered) && !present.has(offered.id))
    if (lost.length === 0) return
    log.warn({ functions: lost.map(({ id }) => id) }, 'the engine has lost functions; registering them again')
    for (const offered of lost) {
      withdraw(offered)
      registered.set(offered, registerOne(iii, offered))
    }
  })
  return {
    async add(functions) {
      await warnOfOthers(iii, functions, log)
      for (const offered of functions) registered.set(offered, registerOne(iii, offered))
      return { unregister: () => functions.forEach(withdraw) }
    },
    close: () => watch.unregister(),
  }
}

/** Offers functions that stay the same while the process lives; see {@link openOffering}. */
export async function offer(
  iii: IIIClient,
  functions: readonly OfferedFunction[],
  log: Logger,
): Promise<Registration> {
  const offering = openOffering(iii, log)
  const offered = await offering.add(functions)
  return {
    unregister() {
      offering.close()
      offered.unregister()
    },
  }
}

async function functionsOf(iii: IIIClient): Promise<Set<string>> {
  const call = { function_id: 'engine::functions::list', payload: {}, timeoutMs: ANSWER_TIMEOUT_MS }
  return new Set(functionList.parse(await iii.trigger(call)).functions.map(({ function_id }) => function_id))
}

/**
 * Warns if another worker has the functions. Within one data folder a lock prevents that, so the other worker uses
 * another data folder.
 */
async function warnOfOthers(
  iii: IIIClient,
  functions: readonly OfferedFunction[],
  log: Logger,
): Promise<void> {
  const present = await functionsOf(iii).catch(() => new Set<string>())
  const taken = functions.filter(({ id }) => present.has(id)).map(({ id }) => id)
  if (taken.length === 0) return
  log.warn(
    { functions: taken },
    'another worker on this engine has registered the same functions, and only one of the two is called; if it belongs ' +
      'to another system with its own data folder, give that system its own engine',
  )
}

function registerOne(iii: IIIClient, { id, description, http, handle }: OfferedFunction): Registration[] {
  const registrations: Registration[] = [
    iii.registerFunction(
      id,
      withinFrame(id, (payload, metadata) => handle(payload, metadata)),
      { description },
    ),
  ]
  if (http) {
    registrations.push(iii.registerTrigger({ type: 'http', function_id: id, config: httpTrigger(http) }))
  }
  return registrations
}

/** Calls `check` after each change that the engine announces; changes during a check lead to one more. */
function watchChanges(iii: IIIClient, log: Logger, check: () => Promise<void>): Registration {
  // The id is unique to this process, so that it does not depend on what others register.
  const id = `cqrs::changed::${randomUUID()}`
  let running = false
  let again = false
  let stopped = false
  const run = async () => {
    again = true
    if (running) return
    running = true
    while (again && !stopped) {
      again = false
      await check().catch((error) =>
        log.debug({ err: error }, 'the engine could not be asked for its functions'),
      )
    }
    running = false
  }
  // The function stays until the link ends, so that a notice that is on its way still finds it.
  iii.registerFunction(id, async () => void run(), { metadata: { internal: true } })
  const triggers = ['engine::functions-available', 'engine::workers-available'].map((type) =>
    iii.registerTrigger({ type, function_id: id, config: {} }),
  )
  return {
    unregister() {
      stopped = true
      for (const trigger of triggers) trigger.unregister()
    },
  }
}
