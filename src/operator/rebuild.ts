import { z } from 'zod'
import {
  activeOf,
  type Generation,
  type GenerationRequest,
  type ProjectionControl,
} from '../control/contract.ts'
import { isUnderWay } from '../control/machine.ts'
import { fits } from '../generations/place.ts'
import { findProjection } from '../generations/view-readers.ts'
import { CqrsError } from '../kernel/errors.ts'
import { invalidField } from '../kernel/input.ts'
import type { Position } from '../kernel/position.ts'
import type { GenerationsChanged, RebuildStarted } from './generations-contract.ts'
import type { Operator } from './operation.ts'
import { flag, parseRequest, until } from './request.ts'
import type { System } from './system.ts'

const projection = z.string()
// Strict: otherwise a mistyped name of a safeguard (`requireParity`) would be ignored, and the operation done without
// it.
const inputs = {
  rebuild: z.strictObject({
    projection,
    force: flag().default(false),
    until: until().optional(),
    requireParity: flag().default(false),
  }),
  one: z.strictObject({ projection }),
  rollback: z.strictObject({ projection, force: flag().default(false) }),
}

/**
 * Requests a rebuild, or a generation for inspection; the projections worker builds it. If a build with the same
 * purpose is under way, the request joins it.
 *
 * @throws CqrsError CQRS_UNKNOWN_PROJECTION; CQRS_VALIDATION if `until` is not in the log, or if the build that is
 *   under way has other options or belongs to other code
 */
export async function startRebuild(
  system: System,
  input: unknown,
  { by }: Operator,
): Promise<RebuildStarted> {
  const { projection: name, force, until, requireParity } = parseRequest(inputs.rebuild, input)
  const definition = findProjection(system.app, name)
  const { version, partitions } = definition
  await known(system, name)
  const end = until === undefined ? undefined : await positionAt(system, until)
  const purpose = end === undefined ? 'serve' : 'inspect'
  const request = { projection: name, version, partitions, purpose, until: end, requireParity, by } as const
  const { kind, generation, joined } = await requested(system, { ...request, restart: force })
  if (joined && (joined.until !== end || joined.requireParity !== requireParity)) {
    throw new CqrsError(
      'CQRS_VALIDATION',
      `Generation ${generation} of ${name} is already being built with other options; wait for it, or use --force to cancel it and start again.`,
    )
  }
  if (joined && !fits(joined, definition)) {
    throw new CqrsError(
      'CQRS_VALIDATION',
      `Generation ${generation} of ${name} is being built by code with version ${joined.version} and ${joined.partitions} partitions, but ` +
        `this app has version ${version} and ${partitions}. Run that code and wait for it, or use --force to cancel it and start again.`,
    )
  }
  return { projection: name, generation, joined: kind === 'joined', until: end }
}

/**
 * Makes a request; its outcome says which generation it joined, if any. If that generation is gone or being cancelled
 * when it is looked up, the request is made again.
 */
async function requested(system: System, request: GenerationRequest) {
  for (;;) {
    const outcome = await system.control.request(request)
    if (outcome.kind === 'created') return { ...outcome, joined: undefined }
    const { generations } = await known(system, request.projection)
    const joined = generations.find((one) => one.generation === outcome.generation)
    if (joined && joined.state !== 'cancelling') return { ...outcome, joined }
  }
}

/**
 * Requests a comparison: the view is folded again from the log beside the active generation, compared with it, and
 * removed. The report stays with the new generation.
 */
export async function startVerify(system: System, input: unknown, { by }: Operator): Promise<RebuildStarted> {
  const { projection: name } = parseRequest(inputs.one, input)
  const definition = findProjection(system.app, name)
  const state = await known(system, name)
  const active = activeOf(state)
  if (!active || !fits(active, definition)) {
    throw new CqrsError(
      'CQRS_VIEW_BEHIND',
      `The generation of ${name} that serves belongs to other code than this app; verify it when its rebuild is done.`,
    )
  }
  for (const one of state.generations) {
    if (one.state === 'verified') await system.control.move(name, one.generation, 'pruning')
  }
  const { version, partitions } = definition
  const request = { projection: name, version, partitions, purpose: 'verify', by } as const
  const { kind, generation } = await requested(system, request)
  return { projection: name, generation, joined: kind === 'joined', until: undefined }
}

/**
 * Cancels the builds of a projection, and a rollback that is not done yet.
 *
 * @throws CqrsError CQRS_NOT_FOUND if nothing is being built, CQRS_VALIDATION if the only build is one that the app
 *   needs
 */
export async function cancelRebuild(system: System, input: unknown): Promise<GenerationsChanged> {
  const { projection: name } = parseRequest(inputs.one, input)
  const definition = findProjection(system.app, name)
  const state = await known(system, name)
  const active = activeOf(state)
  const isNeeded = (one: Generation) =>
    one.purpose === 'serve' && active && !fits(active, definition) && fits(one, definition)
  const changed: number[] = []
  for (const one of state.generations) {
    const givenUp = isUnderWay(one.state) && !isNeeded(one)
    const to = givenUp ? 'cancelling' : one.state === 'returning' ? 'previous' : undefined
    if (to && (await system.control.move(name, one.generation, to))) changed.push(one.generation)
  }
  if (changed.length > 0) {
    return { generations: changed.map((generation) => ({ projection: name, generation })) }
  }
  // Nothing was cancelled: builds that could be cancelled above were finished or cancelled by others in between.
  const needed = state.generations.some((one) => isUnderWay(one.state) && isNeeded(one))
  if (!needed) throw nothing(`Nothing is being built for ${name}, so there is nothing to cancel.`)
  throw new CqrsError(
    'CQRS_VALIDATION',
    `The app needs this rebuild: the generation of ${name} that serves has version ${active?.version}, and the app defines ` +
      `version ${definition.version}. If you do not want it, run the app of the other version instead.`,
  )
}

/**
 * Requests a return to the previous generation. A rollback may have been requested before without force, and wait
 * because this code cannot keep that generation up to date; a request with force then makes it a forced one.
 *
 * @throws CqrsError CQRS_NOT_FOUND if there is no previous generation (any more); CQRS_VALIDATION if it belongs to
 *   other code and `force` is not given
 */
export async function rollback(system: System, input: unknown): Promise<GenerationsChanged> {
  const { projection: name, force } = parseRequest(inputs.rollback, input)
  const definition = findProjection(system.app, name)
  const state = await known(system, name)
  const previous = state.generations.find((one) => one.state === 'previous' || one.state === 'returning')
  if (!previous) throw nothing(`${name} has no previous generation: nothing was rebuilt, or it was pruned.`)
  const active = activeOf(state)
  // If this worker still runs the code of before a deployment, the projections workers are those of the generation that
  // serves.
  const atWork = active && active.version > definition.version ? active : definition
  const forced = !fits(previous, atWork)
  if (forced && !force) {
    throw new CqrsError(
      'CQRS_VALIDATION',
      `Generation ${previous.generation} of ${name} has version ${previous.version}; the app has version ` +
        `${atWork.version} and did not keep it up to date, so readers would see an older state until the app of ` +
        'that version runs. If that is what you want, use --force, then start that app.',
    )
  }
  const { generation } = previous
  if (previous.state === 'previous' || (forced && !previous.forced)) {
    const moved = await system.control.move(name, generation, 'returning', { forced })
    if (!moved) await assertReturns(system, name, generation)
  }
  return { generations: [{ projection: name, generation }] }
}

/**
 * Refuses a rollback that became impossible in the meantime. One that somebody else requested in the meantime is
 * fine.
 */
async function assertReturns(system: System, name: string, generation: number): Promise<void> {
  const found = (await known(system, name)).generations.find((one) => one.generation === generation)
  if (found?.state === 'returning' || found?.state === 'active') return
  throw nothing(
    `Generation ${generation} of ${name} was pruned or replaced in the meantime; "cqrs projections show ${name}" lists the present ones.`,
  )
}

/** Stops applying events to a projection and sending its effects; builds of new generations go on. */
export async function pauseProjection(system: System, input: unknown): Promise<GenerationsChanged> {
  return setPaused(system, input, true)
}

export async function resumeProjection(system: System, input: unknown): Promise<GenerationsChanged> {
  return setPaused(system, input, false)
}

async function setPaused(system: System, input: unknown, paused: boolean): Promise<GenerationsChanged> {
  const { projection: name } = parseRequest(inputs.one, input)
  findProjection(system.app, name)
  const active = activeOf(await known(system, name))
  await system.control.pause(name, paused)
  return { generations: active ? [{ projection: name, generation: active.generation }] : [] }
}

/**
 * The stored state of a projection's generations.
 *
 * @throws CqrsError CQRS_NOT_FOUND if no worker has created the view yet
 */
export async function known(system: System, name: string): Promise<ProjectionControl> {
  const state = await system.control.projection(name)
  if (state) return state
  throw nothing(`No worker has created the view ${name} yet; start one with "cqrs worker projections".`)
}

function nothing(message: string): CqrsError {
  return new CqrsError('CQRS_NOT_FOUND', message)
}

/**
 * The last position stored by a given time. Bisection works because the clock that stamps the events hardly ever goes
 * back.
 */
async function positionAt({ log }: System, until: Position | string): Promise<Position> {
  const head = await log.head()
  if (typeof until === 'number') {
    if (until <= head) return until
    throw invalidField('until', `${until} is beyond the log, which ends at ${head}`)
  }
  const time = new Date(until).toISOString()
  let [before, after] = [0, head + 1]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    const { events } = await log.readFrom(middle - 1, { limit: 1 })
    if ((events[0]?.recordedAt ?? '') <= time) before = middle
    else after = middle
  }
  if (before > 0) return before
  const [first] = (await log.readFrom(0, { limit: 1 })).events
  const hint = first
    ? `The first event was stored at ${first.recordedAt}; give a later time, or a position.`
    : 'The log is empty.'
  throw new CqrsError('CQRS_VALIDATION', `until: no event was stored by ${time}. ${hint}`)
}
