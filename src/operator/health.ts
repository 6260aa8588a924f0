import { allUnits } from '../kernel/unit.ts'
import type { MetDamage, ProjectionStatus, RoleStanding, SystemStatus } from './contract.ts'
import { outdatedOperator } from './outdated-operator.ts'
import { ownedFunctions, systemStatus } from './status.ts'
import type { System } from './system.ts'
import { undecided } from './undecided.ts'

/** `down`: users are affected. `degraded`: users are served, but something needs attention. */
export type PartState = 'ok' | 'degraded' | 'down'

/** The health of one part of the system. */
export interface PartHealth {
  /** `log`, `disk`, `commands`, `queries`, `queue`, or `projection <name>`. */
  readonly part: string
  readonly state: PartState
  /** Why it is not `ok`; absent if it is. */
  readonly reason?: string
}

/** What `/health/ready` answers. */
export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'not ready'
  readonly parts: readonly PartHealth[]
}

export interface HealthLimits {
  readonly maxLagMs: number
  readonly minFreeBytes: number
  /** How long the system waits for the answer of a worker, in milliseconds. The reasons name it. */
  readonly readyAnswerMs: number
}

/** The function of every queue provider. */
const ENQUEUE = 'engine::queue::enqueue'

/** For a worker that owns functions but does not answer. */
function standsStill({ readyAnswerMs }: HealthLimits): string {
  return `its worker did not answer within ${readyAnswerMs} ms: it hangs or is busy; see "cqrs workers" and its log`
}

/**
 * Whether the system does its job: take commands, answer queries, keep views up to date. This is measured at the
 * stores and the engine. What a part reports about itself can only make the result worse, never better.
 */
export async function readiness(system: System, limits: HealthLimits): Promise<Readiness> {
  const parts = await Promise.all([
    part('log', () => system.log.head().then(() => undefined)),
    part('disk', () => diskProblem(system, limits)),
    ...(await statedParts(system, limits)),
  ])
  const worst = (state: PartState) => parts.some((each) => each.state === state)
  return { status: worst('down') ? 'not ready' : worst('degraded') ? 'degraded' : 'ready', parts }
}

async function diskProblem({ disk }: System, { minFreeBytes }: HealthLimits): Promise<string | undefined> {
  const { free, refusal } = await disk()
  if (refusal !== undefined) {
    return `nothing can be written to the data folder (${refusal}): commands are refused; check the disk and the system log`
  }
  if (free >= minFreeBytes) return undefined
  return `${mib(free)} MiB are free, less than the minimum of ${mib(minFreeBytes)}; free some space, no restart is needed`
}

/** The parts that are judged by the functions on the engine and by the status. */
async function statedParts(system: System, limits: HealthLimits): Promise<Promise<PartHealth>[]> {
  const [[status], workers] = await Promise.all([
    Promise.allSettled([systemStatus(system)]),
    askWorkers(system),
  ])
  const queues = status.status === 'fulfilled' ? status.value.projections.map(({ queue }) => queue) : []
  const isQueueSilent = queues.length > 0 && queues.every((queue) => queue === null)
  return [
    ...(await functionParts(system, limits, workers, isQueueSilent)),
    ...projectionParts(system, limits, workers, status),
  ]
}

/** Without an engine nothing is known about the workers; the missing engine is reported as a part of its own. */
async function askWorkers(system: System): Promise<Workers> {
  try {
    return new Workers(await system.processes())
  } catch {
    return new Workers({ answers: [], silent: 0 })
  }
}

/**
 * What the worker processes report about themselves. A process that hangs still owns its functions until it is ended.
 */
class Workers {
  readonly #roles: readonly RoleStanding[]
  readonly #areSomeSilent: boolean

  constructor({ answers, silent }: Awaited<ReturnType<System['processes']>>) {
    this.#roles = answers.flatMap(({ roles }) => roles)
    this.#areSomeSilent = silent > 0
  }

  /** Whether no process that answers has this role (other than standing by), so that a silent process may hold it. */
  standsStill(name: string): boolean {
    return (
      this.#areSomeSilent && !this.#roles.some(({ role, state }) => role === name && state !== 'standing by')
    )
  }

  /** The same for the owner of a projection or partition. */
  standsStillWith(unit: string): boolean {
    return this.#areSomeSilent && !this.#roles.some(({ owns }) => owns.includes(unit))
  }

  damageOf(name: string): MetDamage | undefined {
    return this.#roles.find(({ role, damage }) => role === name && damage !== undefined)?.damage
  }
}

async function functionParts(
  system: System,
  limits: HealthLimits,
  workers: Workers,
  isQueueSilent: boolean,
): Promise<Promise<PartHealth>[]> {
  const { maxLagMs, readyAnswerMs } = limits
  let present: ReadonlySet<string>
  try {
    present = await ownedFunctions(system)
  } catch (error) {
    return [part('engine', () => Promise.reject(error))]
  }
  // Where there is no app, the queue is what users are served with.
  const { commands, queries, projections } = system.app
  const isOnlyQueue = commands.size + queries.size + projections.size === 0
  const missing = (ids: readonly string[]) => ids.filter((id) => !present.has(id))
  const served = async (name: string, ids: string[]): Promise<PartHealth> => {
    const away = missing(ids)
    if (away.length > 0) return down(name, `no worker has ${away.slice(0, 5).join(', ')}`)
    if (workers.standsStill(name)) return down(name, standsStill(limits))
    const damage = workers.damageOf(name)
    if (damage === undefined) return { part: name, state: 'ok' }
    // Counts as down for at most maxLagMs: clients may stop sending to a system that is down, and then no success
    // could end that.
    const isOver = damage.goesOn || damage.agoMs > maxLagMs
    if (isOver) return { part: name, state: 'degraded', reason: `some requests fail: ${damage.message}` }
    return down(name, `the last request failed: ${damage.message}`)
  }
  return [
    served(
      'commands',
      [...system.app.commands.keys()].map((name) => `cmd::${name}`),
    ),
    served(
      'queries',
      [...system.app.queries.keys()].map((name) => `query::${name}`),
    ),
    part(
      'queue',
      async () => {
        const without = isOnlyQueue ? '' : '; projections go on from the log by their sweep'
        if (missing([ENQUEUE]).length > 0) return `no queue worker is connected${without}`
        if (isOnlyQueue && workers.standsStill('queue')) return standsStill(limits)
        return isQueueSilent
          ? `the queue worker did not answer within ${readyAnswerMs} ms${without}`
          : undefined
      },
      isOnlyQueue ? 'down' : 'degraded',
    ),
  ]
}

function projectionParts(
  { app }: System,
  limits: HealthLimits,
  workers: Workers,
  status: PromiseSettledResult<SystemStatus>,
): Promise<PartHealth>[] {
  if (status.status === 'fulfilled') {
    return status.value.projections.map(async (each) =>
      judge(each, limits, workers.standsStillWith(each.name)),
    )
  }
  const { reason } = status
  return allUnits(app).map(({ name }) => part(`projection ${name}`, () => Promise.reject(reason)))
}

function judge(projection: ProjectionStatus, limits: HealthLimits, isSilent: boolean): PartHealth {
  const part = `projection ${projection.name}`
  const down = whatIsDown(projection, limits)
  if (down !== undefined) return { part, state: 'down', reason: down }
  // A silent worker may be busy with a long fold while readers are served: only the lag makes a projection `down`.
  const silent = isSilent ? standsStill(limits) : undefined
  const letters = undecided({ projections: [projection] })
  const waits = [
    silent,
    whyItStandsStill(projection),
    letters > 0 ? `${letters} failed for good and need a decision: cqrs dlq list` : undefined,
  ].filter((reason) => reason !== undefined)
  return waits.length > 0 ? { part, state: 'degraded', reason: waits.join('; ') } : { part, state: 'ok' }
}

/** Why readers of a projection are not served properly; undefined if they are. */
function whatIsDown(projection: ProjectionStatus, { maxLagMs }: HealthLimits): string | undefined {
  const { owned, waitsFor, damaged, lag, lagSeconds } = projection
  if (waitsFor !== null) {
    const other = waitsFor > 0 ? `process ${waitsFor}` : 'a worker'
    return `it waits for ${other}, whose code splits it into other partitions: stop that process`
  }
  if (!owned) return 'no worker owns it, so it does not advance; see "cqrs workers"'
  if (damaged !== null) return damaged
  if (lagSeconds === null) return 'the next event cannot be read: cqrs audit names what is wrong'
  if (lagSeconds * 1_000 <= maxLagMs) return undefined
  const behind = `${Math.round(lagSeconds)} s behind, ${lag} events; up to ${maxLagMs / 1_000} s are allowed`
  const still = whyItStandsStill(projection)
  return still === undefined ? behind : `${still}; ${behind}`
}

/** Why the owner of a projection leaves it where it is on purpose; undefined if it does not. */
function whyItStandsStill(status: ProjectionStatus): string | undefined {
  const { projection, paused, frozen, builds, version, servingVersion } = status
  if (paused) return `an operator paused it: "cqrs projections resume ${projection}" ends the pause`
  if (!frozen) return undefined
  if (servingVersion > version) return outdatedOperator(projection, servingVersion, version)
  const isRebuilt = builds.some(({ purpose }) => purpose === 'serve')
  const way = isRebuilt ? 'the rebuild that is under way' : `"cqrs rebuild ${projection}"`
  return `the generation that serves belongs to other code and stands still until ${way} replaces it`
}

function down(part: string, reason: string): PartHealth {
  return { part, state: 'down', reason }
}

/** @param check resolves with the problem, if there is one; an error that it throws counts as a problem, too */
async function part(
  name: string,
  check: () => Promise<string | undefined>,
  state: 'degraded' | 'down' = 'down',
): Promise<PartHealth> {
  try {
    const reason = await check()
    return reason ? { part: name, state, reason } : { part: name, state: 'ok' }
  } catch (error) {
    return { part: name, state, reason: (error as Error).message }
  }
}

function mib(bytes: number): number {
  return Math.floor(bytes / 1_048_576)
}
