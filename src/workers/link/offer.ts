import { randomUUID } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
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

/** The metadata of a function that a system offers: the id of that system. */
const offeredBy = z.object({ cqrsSystem: z.string() })

const functionList = z.object({
  functions: z.array(z.object({ function_id: z.string(), metadata: z.unknown().optional() })),
})

const triggerList = z.object({
  registered_triggers: z.array(z.object({ function_id: z.string(), config: z.unknown().optional() })),
})
const routeConfig = z.object({ api_path: z.string(), http_method: z.string() })

/** The functions that one process offers on the engine; more can join and leave at any time. */
export interface Offering {
  /**
   * Registers functions. The returned registration withdraws them.
   *
   * @throws CqrsError CQRS_ENGINE_TAKEN if another system offers one of them, or one of their routes; then none is registered
   */
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
 *
 * @param system the id of the system that offers them
 */
export function openOffering(iii: IIIClient, log: Logger, system: string): Offering {
  const registered = new Map<OfferedFunction, Registration[]>()
  const withdraw = (offered: OfferedFunction) => {
    // The route goes before its function: a request in between would be told that the function does not exist.
    for (const registration of registered.get(offered)?.toReversed() ?? []) registration.unregister()
    registered.delete(offered)
  }
  let told = ''
  const tellOfOthers = (functions: readonly string[]) => {
    if (functions.length > 0 && told !== functions.join())
      log.error(
        { functions },
        'another system on this engine, with a data folder of its own, offers functions of this one and is called in its ' +
          'place; stop it, and give each system an engine of its own, or let one be a guest (CQRS_GUEST)',
      )
    told = functions.join()
  }
  const watch = watchChanges(iii, log, async () => {
    // A function that is added while the engine answers is not in the answer, but is not lost either.
    const expected = [...registered.keys()]
    const present = await functionsOf(iii)
    // Two systems that start at the same moment do not see each other before they register.
    tellOfOthers(expected.map(({ id }) => id).filter((id) => isOfAnother(system, present.get(id))))
    const lost = expected.filter((offered) => registered.has(offered) && !present.has(offered.id))
    if (lost.length === 0) return
    log.warn({ functions: lost.map(({ id }) => id) }, 'the engine has lost functions; registering them again')
    for (const offered of lost) {
      withdraw(offered)
      registered.set(offered, registerOne(iii, offered, system))
    }
  })
  return {
    async add(functions) {
      await assertNotTaken(iii, functions, log, system)
      for (const offered of functions) registered.set(offered, registerOne(iii, offered, system))
      return { unregister: () => functions.forEach(withdraw) }
    },
    close: () => watch.unregister(),
  }
}

/**
 * Offers functions that stay the same while the process lives; see {@link openOffering}.
 *
 * @throws CqrsError CQRS_ENGINE_TAKEN if another system offers one of them, or one of their routes
 */
export async function offer(
  iii: IIIClient,
  functions: readonly OfferedFunction[],
  log: Logger,
  system: string,
): Promise<Registration> {
  const offering = openOffering(iii, log, system)
  const offered = await offering.add(functions)
  return {
    unregister() {
      offering.close()
      offered.unregister()
    },
  }
}

/** The functions on the engine, and for each the id of the system that offers it, if one does. */
async function functionsOf(iii: IIIClient): Promise<Map<string, string | undefined>> {
  const call = { function_id: 'engine::functions::list', payload: {}, timeoutMs: ANSWER_TIMEOUT_MS }
  const { functions } = functionList.parse(await iii.trigger(call))
  return new Map(
    functions.map(({ function_id, metadata }) => [
      function_id,
      offeredBy.safeParse(metadata).data?.cqrsSystem,
    ]),
  )
}

/** Whether a function belongs to another system; one that belongs to no system at all does not. */
function isOfAnother(system: string, owner: string | undefined): boolean {
  return owner !== undefined && owner !== system
}

/** The HTTP routes on the engine, each with the function that it calls; routes that meet the same requests are equal. */
async function routesOf(iii: IIIClient): Promise<Map<string, string>> {
  const payload = { trigger_type: 'http' }
  const call = { function_id: 'engine::registered-triggers::list', payload, timeoutMs: ANSWER_TIMEOUT_MS }
  const { registered_triggers: triggers } = triggerList.parse(await iii.trigger(call))
  return new Map(
    triggers.flatMap(({ function_id, config }) => {
      const route = routeConfig.safeParse(config).data
      return route ? [[routeKey(route.http_method, route.api_path), function_id] as const] : []
    }),
  )
}

function routeKey(method: string, path: string): string {
  return `${method} /${path.replace(/^\//, '').replaceAll(/:[^/]+/g, ':')}`
}

/** How many functions or routes an error names. */
const NAMED = 5

/**
 * Checks that no other system offers these functions or routes: only one of the two would be called, with what is meant
 * for both. Within one system, a lock prevents that. If a worker that belongs to no system has one of the functions, that
 * is only logged.
 *
 * @throws CqrsError CQRS_ENGINE_TAKEN
 */
export async function assertNotTaken(
  iii: IIIClient,
  functions: readonly Pick<OfferedFunction, 'id' | 'http'>[],
  log: Logger,
  system: string,
): Promise<void> {
  const present = await functionsOf(iii).catch(() => new Map<string, undefined>())
  const taken = functions.map(({ id }) => id).filter((id) => present.has(id))
  const routes = functions.flatMap(({ http }) => (http ? [http] : []))
  const known = routes.length > 0 ? await routesOf(iii).catch(() => new Map<string, string>()) : undefined
  const takenRoutes = routes.filter(({ method, path }) => {
    const id = known?.get(routeKey(method, path))
    return id !== undefined && isOfAnother(system, present.get(id))
  })
  const ofOthers = [
    ...taken.filter((id) => isOfAnother(system, present.get(id))),
    ...takenRoutes.map(({ method, path }) => `${method} ${path}`),
  ]
  if (ofOthers.length > 0) {
    const more = ofOthers.length > NAMED ? `, and ${ofOthers.length - NAMED} more` : ''
    throw new CqrsError(
      'CQRS_ENGINE_TAKEN',
      `Another system, with a data folder of its own, offers the same on this engine: ${ofOthers.slice(0, NAMED).join(', ')}${more}. ` +
        'Give each system an engine of its own; or let this one share the engine with CQRS_GUEST=<name>, with names and routes ' +
        'that the other one does not have.',
      { details: { taken: ofOthers } },
    )
  }
  if (taken.length > 0)
    log.warn(
      { functions: taken },
      'another worker on this engine has registered the same functions, and only one of the two is called',
    )
}

function registerOne(
  iii: IIIClient,
  { id, description, http, handle }: OfferedFunction,
  system: string,
): Registration[] {
  const registrations: Registration[] = [
    iii.registerFunction(
      id,
      withinFrame(id, (payload, metadata) => handle(payload, metadata)),
      { description, metadata: { cqrsSystem: system } satisfies z.output<typeof offeredBy> },
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
