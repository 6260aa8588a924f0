import { z } from 'zod'
import { activeOf, type Generation } from '../control/contract.ts'
import { isUnderWay } from '../control/machine.ts'
import { fits } from '../generations/place.ts'
import type { Position } from '../kernel/position.ts'
import { allUnits, type ProjectionUnit } from '../kernel/unit.ts'
import { unlessDamaged } from '../projection/damage.ts'
import { progressOf } from './build-progress.ts'
import type { BuildStatus, ProjectionStatus, SystemStatus } from './contract.ts'
import type { System } from './system.ts'

const topicStats = z.object({ depth: z.number(), dlq_depth: z.number() })
const functionList = z.object({ functions: z.array(z.object({ function_id: z.string() })) })

/**
 * The state of the system. Positions are read from the stores and compared with the head of the log. So a projection
 * that no worker serves shows up as behind and without an owner.
 */
export async function systemStatus(system: System): Promise<SystemStatus> {
  const head = await system.log.head()
  const owned = await ownedFunctions(system)
  const projections = await Promise.all(
    allUnits(system.app).map((unit) => projectionStatus(system, unit, head, owned)),
  )
  return { app: system.app.name, head, projections, takenAt: system.now().toISOString() }
}

async function projectionStatus(
  system: System,
  { name, functionId, projection, partition }: ProjectionUnit,
  head: Position,
  owned: ReadonlySet<string>,
): Promise<ProjectionStatus> {
  const other = system.splitOtherwise(name)
  const state = await system.control.projection(projection.name)
  const active = activeOf(state)
  const builds = (state?.generations ?? []).filter((one) => isUnderWay(one.state)).map(buildStatus)
  const facts = {
    name,
    projection: projection.name,
    kind: projection.kind,
    version: projection.version,
    servingVersion: active?.version ?? projection.version,
    generation: active?.generation ?? 1,
    frozen: active !== undefined && !fits(active, projection),
    paused: state?.paused ?? false,
    building: builds.length > 0,
    builds,
    owned: owned.has(functionId),
    waitsFor: other ? (other.pid ?? 0) : null,
    queue: await queueStatus(system, name),
  }
  const standing = await unlessDamaged(() => system.standing(name))
  if (standing.damage) {
    const { message: damaged } = standing.error
    return { ...facts, damaged, position: null, lag: null, lagSeconds: null, parked: null, effects: null }
  }
  const { position, parked, effects } = standing.result
  const lag = Math.max(0, head - position)
  const lagSeconds = lag === 0 ? 0 : await secondsBehind(system, name, position)
  // Damage that its worker has met, although everything that was read here is whole.
  const damaged = (facts.frozen ? undefined : active?.parts[partition.index]?.error) ?? null
  return { ...facts, damaged, position, lag, lagSeconds, parked, effects }
}

function buildStatus(build: Generation): BuildStatus {
  const { generation, purpose, parts } = build
  const error = parts.find((part) => part.error !== undefined)?.error ?? null
  return { generation, purpose, ...progressOf(build), error }
}

/**
 * How long the next event after a position has been waiting, in seconds: since it was stored or since the view was
 * first seen there, whichever is longer. Null if the event cannot be read.
 */
async function secondsBehind(
  { log, now, behindFor }: System,
  unit: string,
  position: Position,
): Promise<number | null> {
  try {
    const { events } = await log.readFrom(position, { limit: 1 })
    const [next] = events
    if (!next) return 0
    return Math.max((now().getTime() - Date.parse(next.recordedAt)) / 1_000, behindFor(unit, position))
  } catch {
    // The status has to work with a damaged log, too: that is when it is needed most.
    return null
  }
}

/** The functions that workers have now. The engine hides its own, but not those of a queue. */
export async function ownedFunctions(system: System): Promise<Set<string>> {
  const list = functionList.parse(await system.ask('engine::functions::list', {}))
  return new Set(list.functions.map(({ function_id }) => function_id))
}

async function queueStatus(system: System, queue: string): Promise<ProjectionStatus['queue']> {
  try {
    const stats = topicStats.parse(await system.ask('engine::queue::topic_stats', { topic: queue }))
    return { depth: stats.depth, deadLetters: stats.dlq_depth }
  } catch {
    // A missing queue worker is part of the status, not an error.
    return null
  }
}
