import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import { PAGE_BYTES } from '../../log/contract.ts'
import { letterId } from '../../operator/letters/letter-id.ts'
import { parseRequest } from '../../operator/request.ts'
import type { EffectPlace, ParkedEvent, RecordedEffect, ViewStore } from '../../projection/contract.ts'
import type { OfferedFunction } from '../link/offer.ts'
import type { LiveUnit } from './live-unit.ts'

/** How much of the name of a sequence a list shows, in characters. */
const SHOWN_NAME = 1_000

const position = z.int().min(1)
const by = z.string().default('operator')
const idempotencyKey = z.string()
const place = z.object({ position: z.int().min(0), n: z.int().min(0) })
const reason = z.string().trim().min(1).max(1_000)

const inputs = {
  letters: z.object({
    after: z.int().min(0).default(0),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  show: z.object({ position }),
  redrive: z.object({ position }),
  discard: z.object({ position, by, reason }),
  deadEffects: z.object({
    idempotencyKey: idempotencyKey.optional(),
    after: place.optional(),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  redriveEffects: z.object({ idempotencyKey: idempotencyKey.optional(), after: place.optional() }),
  discardEffect: z.object({ idempotencyKey, by, reason }),
}

/**
 * What operators can do with parked events, as functions of the process that owns the unit. They take turns with the
 * projector, so that nothing is applied twice or left out. The name of the unit follows that of the operation, because
 * several processes may share the units.
 *
 * - `ops::parked::letters::<unit>` lists the events that failed.
 * - `ops::parked::show::<unit>` shows one of them.
 * - `ops::parked::redrive::<unit>` retries it, and the events that wait behind it, and says which of them `failed`.
 * - `ops::parked::discard::<unit>` gives it up, with a reason.
 *
 * `ops::effects::…` does the same for effects that failed too often. A redrive of all of them takes 1,000 in a call, and
 * has a `next` if there may be more: to be passed as `after`.
 */
export function unitOperations({ unit, view, runner }: LiveUnit): OfferedFunction[] {
  const operations: Record<string, (payload: unknown) => Promise<unknown>> = {
    'ops::parked::letters': async (payload) => {
      const { after, limit } = parseRequest(inputs.letters, payload)
      const letters = await view.letters({ after, limit })
      return letters.map(({ event, waiting }) => ({ event: inBrief(event), waiting }))
    },
    'ops::parked::show': async (payload) => {
      const { position } = parseRequest(inputs.show, payload)
      const event = (await view.parkedEvent(position)) ?? notParked(unit.name, position)
      const sequence = await view.sequence(event.sequence, 101)
      const [head] = await view.letters({ after: position - 1, limit: 1 })
      const behind = sequence.filter((other) => other.position > position).map(inBrief)
      return { event, behind, waiting: head?.event.position === position ? head.waiting : behind.length }
    },
    'ops::parked::redrive': async (payload) => {
      const { position } = parseRequest(inputs.redrive, payload)
      return runner.inTurn(async (projector) => {
        const { sequence } = (await view.parkedEvent(position)) ?? notParked(unit.name, position)
        if (!(await projector.redrive(position))) await notHead(view, unit.name, position)
        const redriven = await projector.retry(position)
        // The first event of the sequence now is the one that was tried last, unless it has not been tried at all.
        const [first] = await view.sequence(sequence, 1)
        const error = first && first.attempts > 0 ? first.failures.at(-1)?.message : undefined
        return { redriven, ...(error !== undefined && { failed: { position: first?.position, error } }) }
      })
    },
    'ops::parked::discard': async (payload) => {
      const { position, by, reason } = parseRequest(inputs.discard, payload)
      return runner.inTurn(async (projector) => {
        if (!(await projector.discard(position, by, reason))) await notHead(view, unit.name, position)
        await projector.retryDue()
        return { discarded: 1 }
      })
    },
    'ops::effects::dead': async (payload) => {
      const { limit, idempotencyKey, after } = parseRequest(inputs.deadEffects, payload)
      if (idempotencyKey !== undefined) return view.deadEffects(1, idempotencyKey)
      return deadInBrief(view, limit, after)
    },
    'ops::effects::redrive': async (payload) => {
      const { idempotencyKey, after } = parseRequest(inputs.redriveEffects, payload)
      const { redriven, last } = await view.redriveEffects(idempotencyKey, after)
      if (redriven === 0 && idempotencyKey !== undefined) notDead(idempotencyKey)
      // Not waited for: there may be very many effects, each with its own receiver, and a caller waits for a minute at
      // most.
      runner.sendEffects()
      return { redriven, ...(last && { next: last }) }
    },
    'ops::effects::discard': async (payload) => {
      const { idempotencyKey, ...discard } = parseRequest(inputs.discardEffect, payload)
      const at = new Date().toISOString()
      const discarded = await view.discardEffect(idempotencyKey, { ...discard, at })
      return discarded ? { discarded: 1 } : notDead(idempotencyKey)
    },
  }
  return Object.entries(operations).map(([id, handle]) => ({
    id: `${id}::${unit.name}`,
    description: 'Lets operators handle what a projection could not apply or send.',
    handle,
  }))
}

/**
 * Dead effects after a place, without their data. A list only shows where each effect was to go; an effect that is
 * asked for by its key is shown with its data. The data is read and dropped a few effects at a time, because all of it
 * may not fit into memory.
 */
async function deadInBrief(view: ViewStore, limit: number, after?: EffectPlace): Promise<RecordedEffect[]> {
  const brief: RecordedEffect[] = []
  for (let from = after; ; ) {
    const page = await view.deadEffects(limit - brief.length, undefined, from, PAGE_BYTES)
    brief.push(...page.map((one) => ({ ...one, effect: { ...one.effect, data: {} } })))
    const last = page.at(-1)
    if (!last || brief.length >= limit) return brief
    const [position = 0, n = 0] = last.idempotencyKey.split(':').slice(-2).map(Number)
    from = { position, n }
    await nextTurn()
  }
}

/**
 * A parked event as a list shows it, since many have to fit into one answer: only the last failure without its stack
 * (`show` has every attempt with its stack), and only the beginning of a very long sequence name.
 */
function inBrief(event: ParkedEvent): ParkedEvent {
  const { sequence, failures } = event
  return {
    ...event,
    sequence: sequence.length > SHOWN_NAME ? `${sequence.slice(0, SHOWN_NAME)}…` : sequence,
    failures: failures.slice(-1).map(({ at, message }) => ({ at, message })),
  }
}

/** Why an event cannot be settled: another one of its sequence is in front of it, or it is not parked. */
async function notHead(view: ViewStore, projection: string, position: number): Promise<never> {
  const event = await view.parkedEvent(position)
  const [first] = event ? await view.sequence(event.sequence, 1) : []
  if (!first || first.position >= position) return notParked(projection, position)
  const inFront = letterId({ source: 'parked', name: projection, key: String(first.position) })
  throw new CqrsError(
    'CQRS_NOT_FOUND',
    `Position ${position} of ${projection} waits behind position ${first.position}, which failed: redrive or discard ` +
      `that one (${inFront}) first.`,
  )
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
