import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import { allUnits, projectionOf } from '../../kernel/unit.ts'
import type { Letter } from '../contract.ts'
import { fingerprint } from '../fingerprint.ts'
import type { LetterBox } from './letter-box.ts'
import { type LetterId, letterId, parseLetterId } from './letter-id.ts'

const effect = z.object({
  idempotencyKey: z.string(),
  effect: z.union([
    z.object({ kind: z.literal('publish'), topic: z.string(), data: z.unknown() }),
    z.object({ kind: z.literal('call'), functionId: z.string(), data: z.unknown() }),
  ]),
  attempts: z.number(),
  error: z.string().optional(),
  failedAt: z.string().optional(),
})
const effects = z.array(effect)
const redriven = z.object({
  redriven: z.number(),
  next: z.object({ position: z.number(), n: z.number() }).optional(),
})
const discarded = z.object({ discarded: z.number() })

/** Dead effects: their receivers refused them too often. The projections worker is asked for them. */
export const effectLetters: LetterBox = {
  source: 'effect',

  names: async ({ app }) =>
    allUnits(app)
      .filter(({ projection }) => projection.kind === 'reactor')
      .map(({ name }) => name),

  async list(system, reactor, limit, after = '0.0') {
    const input = { limit, after: toPlace(after) }
    const found = effects.parse(await system.ask(`ops::effects::dead::${reactor}`, input))
    return found.map((one) => {
      const letter = toLetter(reactor, one)
      return { letter, cursor: parseLetterId(letter.id).key }
    })
  },

  async show(system, id) {
    const wanted = idempotencyKey(id)
    const found = effects.parse(
      await system.ask(`ops::effects::dead::${id.name}`, { idempotencyKey: wanted, limit: 1 }),
    )
    const [one] = found
    if (!one) {
      throw new CqrsError(
        'CQRS_NOT_FOUND',
        `The effect ${wanted} is not dead (any more); list the letters again.`,
      )
    }
    return { ...toLetter(id.name, one), content: one.effect, failures: [{ message: one.error }], behind: [] }
  },

  async redrive(system, id) {
    const input = { idempotencyKey: idempotencyKey(id) }
    const { redriven: count } = redriven.parse(await system.call(`ops::effects::redrive::${id.name}`, input))
    return { redriven: count }
  },

  async redriveAll(system, reactor, tell, { after, isOver }) {
    // Asked first: if the worker hangs, this fails. Otherwise it would do the redrive later, and nobody would learn
    // of it.
    if ((await this.list(system, reactor, 1, after)).length === 0) return undefined
    // An effect that fails again keeps its place, which is before the next one; so none is put back twice.
    for (let from = after; ; ) {
      const input = from === undefined ? {} : { after: toPlace(from) }
      const step = redriven.parse(await system.call(`ops::effects::redrive::${reactor}`, input))
      tell({ redriven: step.redriven })
      if (!step.next) return undefined
      from = `${step.next.position}.${step.next.n}`
      if (isOver()) return from
    }
  },

  async discard(system, id, by, reason) {
    const input = { idempotencyKey: idempotencyKey(id), by, reason }
    return discarded.parse(await system.call(`ops::effects::discard::${id.name}`, input))
  },
}

/** The place that a cursor means. */
function toPlace(cursor: string): { position: number; n: number } {
  const [position = 0, n = 0] = cursor.split('.').map(Number)
  return { position, n }
}

/**
 * The idempotency key contains the name of the reactor; the id of the letter has that of the partition, if there are
 * several.
 */
function idempotencyKey({ name, key }: LetterId): string {
  return `${projectionOf(name)}:${key.replace('.', ':')}`
}

function toLetter(reactor: string, one: z.output<typeof effect>): Letter {
  const [position, n] = one.idempotencyKey.split(':').slice(-2)
  const what =
    one.effect.kind === 'publish' ? `publish to ${one.effect.topic}` : `call of ${one.effect.functionId}`
  return {
    id: letterId({ source: 'effect', name: reactor, key: `${position}.${n}` }),
    source: 'effect',
    name: reactor,
    what,
    status: 'dead',
    error: one.error ?? '',
    attempts: one.attempts,
    failedAt: one.failedAt ?? '',
    waiting: 0,
    fingerprint: fingerprint({ source: 'effect', name: projectionOf(reactor), kind: what }, one.error ?? ''),
  }
}
