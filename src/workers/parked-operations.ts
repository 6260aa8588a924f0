import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { parseRequest } from '../operator/request.ts'
import type { ViewStore } from '../projection/contract.ts'
import type { EffectSender } from '../projection/effect-sender.ts'
import type { ProjectionRunner } from '../projection/runner.ts'
import type { OfferedFunction } from './offer.ts'

const projection = z.string()
const position = z.int().min(1)
const by = z.string().default('operator')

const idempotencyKey = z.string()
const reason = z.string().trim().min(1).max(1_000)

const inputs = {
  letters: z.object({
    projection,
    after: z.int().min(0).default(0),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  show: z.object({ projection, position }),
  redrive: z.object({ projection, position }),
  discard: z.object({ projection, position, by, reason }),
  deadEffects: z.object({
    projection,
    idempotencyKey: idempotencyKey.optional(),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  redriveEffects: z.object({ projection, idempotencyKey: idempotencyKey.optional() }),
  discardEffect: z.object({ projection, idempotencyKey, by, reason }),
}

/** A view that this process keeps up to date. */
export interface LiveView {
  readonly view: ViewStore
  readonly effects: EffectSender
  readonly runner: ProjectionRunner
}

/**
 * What operators can do with parked events, as functions of the process that owns the views: they take
 * their turn with the projector, so nothing is applied twice or left out.
 *
 * `ops::parked::letters` lists what failed, `ops::parked::show` one of them, `ops::parked::redrive` tries
 * it and what waits behind it again, `ops::parked::discard` gives it up with a reason. `ops::effects::…`
 * does the same for effects that failed too often.
 */
export function parkedOperations(live: ReadonlyMap<string, LiveView>): OfferedFunction[] {
  const find = (name: string) => {
    const found = live.get(name)
    if (found) return found
    const known = [...live.keys()].join(', ')
    throw new CqrsError('CQRS_UNKNOWN_PROJECTION', `There is no projection ${name}; there are: ${known}.`)
  }
  const operations: Record<string, (payload: unknown) => Promise<unknown>> = {
    'ops::parked::letters': async (payload) => {
      const { projection, after, limit } = parseRequest(inputs.letters, payload)
      return find(projection).view.letters({ after, limit })
    },
    'ops::parked::show': async (payload) => {
      const { projection, position } = parseRequest(inputs.show, payload)
      const { view } = find(projection)
      const event = (await view.parkedEvent(position)) ?? notParked(projection, position)
      const sequence = await view.sequence(event.sequence, 101)
      return { event, behind: sequence.filter((other) => other.position > position) }
    },
    'ops::parked::redrive': async (payload) => {
      const { projection, position } = parseRequest(inputs.redrive, payload)
      return find(projection).runner.inTurn(async (projector) => {
        if (!(await projector.redrive(position))) notParked(projection, position)
        return { redriven: await projector.retry(position) }
      })
    },
    'ops::parked::discard': async (payload) => {
      const { projection, position, by, reason } = parseRequest(inputs.discard, payload)
      return find(projection).runner.inTurn(async (projector) => {
        if (!(await projector.discard(position, by, reason))) notParked(projection, position)
        await projector.retryDue()
        return { discarded: 1 }
      })
    },
    'ops::effects::dead': async (payload) => {
      const { projection, limit, idempotencyKey } = parseRequest(inputs.deadEffects, payload)
      return find(projection).view.deadEffects(limit, idempotencyKey)
    },
    'ops::effects::redrive': async (payload) => {
      const { projection, idempotencyKey } = parseRequest(inputs.redriveEffects, payload)
      const { view, effects } = find(projection)
      const redriven = await view.redriveEffects(idempotencyKey)
      if (redriven === 0 && idempotencyKey !== undefined) notDead(idempotencyKey)
      await effects.flush()
      return { redriven }
    },
    'ops::effects::discard': async (payload) => {
      const { projection, idempotencyKey, ...discard } = parseRequest(inputs.discardEffect, payload)
      const at = new Date().toISOString()
      const discarded = await find(projection).view.discardEffect(idempotencyKey, { ...discard, at })
      return discarded ? { discarded: 1 } : notDead(idempotencyKey)
    },
  }
  return Object.entries(operations).map(([id, handle]) => ({
    id,
    description: 'What operators do with what a projection could not apply or send.',
    handle,
  }))
}

function notParked(projection: string, position: number): never {
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `Position ${position} is not at the head of a parked sequence of ${projection} (any more); list them again.`,
  )
}

function notDead(idempotencyKey: string): never {
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `The effect ${idempotencyKey} is not dead (any more); list the letters again.`,
  )
}
