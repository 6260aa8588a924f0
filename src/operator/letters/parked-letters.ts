import { z } from 'zod'
import type { Position } from '../../kernel/position.ts'
import { allUnits, projectionOf } from '../../kernel/unit.ts'
import type { Letter } from '../contract.ts'
import { fingerprint } from '../fingerprint.ts'
import type { System } from '../system.ts'
import { type LetterBox, settleEach } from './letter-box.ts'
import { type LetterId, letterId, parseLetterId } from './letter-id.ts'

/** Parked events fetched in one call when all are redriven. */
const REDRIVE_PAGE = 500

const parkedEvent = z.object({
  position: z.number(),
  sequence: z.string(),
  type: z.string(),
  status: z.enum(['retrying', 'dead', 'waiting']),
  attempts: z.number(),
  failures: z.array(z.object({ at: z.string(), message: z.string(), stack: z.string().optional() })),
  parkedAt: z.string(),
})
const letters = z.array(z.object({ event: parkedEvent, waiting: z.number() }))
const shown = z.object({
  event: parkedEvent,
  /** The first of the events that wait behind it. */
  behind: z.array(parkedEvent),
  waiting: z.number().optional(),
})
const redriven = z.object({
  redriven: z.number(),
  failed: z.object({ position: z.number(), error: z.string() }).optional(),
})
const discarded = z.object({ discarded: z.number() })

/** Parked events: the first event of each parked sequence. The projections worker is asked for them. */
export const parkedLetters: LetterBox = {
  source: 'parked',

  names: async ({ app }) => allUnits(app).map(({ name }) => name),

  async list(system, projection, limit, after = '0') {
    const found = await heads(system, projection, { after: Number(after), limit })
    return found.map((letter) => ({ letter, cursor: parseLetterId(letter.id).key }))
  },

  async show(system, { name, key }) {
    const position = Number(key)
    const answer = await system.ask(`ops::parked::show::${name}`, { position })
    const { event, behind, waiting = behind.length } = shown.parse(answer)
    const { events } = await system.log.readFrom(position - 1, { limit: 1 })
    return {
      ...toLetter(name, event, waiting),
      status: event.status,
      content: events[0],
      failures: event.failures,
      behind: behind.slice(0, 100).map((other) => other.position),
    }
  },

  async redrive(system, { name, key }) {
    const input = { position: Number(key) }
    const answer = await system.call(`ops::parked::redrive::${name}`, input)
    const { redriven: applied, failed } = redriven.parse(answer)
    if (!failed) return { redriven: applied }
    const id = letterId({ source: 'parked', name, key: String(failed.position) })
    return { redriven: applied, failed: 1, failures: [{ id, error: failed.error }] }
  },

  async redriveAll(system, projection, tell, { after = '0', isOver }) {
    const redrive = (id: LetterId) => this.redrive(system, id)
    // An event that fails again keeps its position, which is before the next page; so none is tried twice.
    for (let from = after; ; ) {
      const page = await heads(system, projection, { after: Number(from), limit: REDRIVE_PAGE })
      for (const letter of page) {
        await settleEach({ box: this, system }, [letter], redrive, tell)
        from = parseLetterId(letter.id).key
        if (isOver()) return from
      }
      if (page.length < REDRIVE_PAGE) return undefined
    }
  },

  async discard(system, { name, key }, by, reason) {
    const input = { position: Number(key), by, reason }
    return discarded.parse(await system.call(`ops::parked::discard::${name}`, input))
  },
}

async function heads(
  system: System,
  projection: string,
  page: { after: Position; limit: number },
): Promise<Letter[]> {
  const found = letters.parse(await system.ask(`ops::parked::letters::${projection}`, page))
  return found.map(({ event, waiting }) => toLetter(projection, event, waiting))
}

function toLetter(projection: string, event: z.output<typeof parkedEvent>, waiting: number): Letter {
  const last = event.failures.at(-1)
  const error = last?.message ?? 'It waits behind an earlier event of its sequence.'
  // Letters of all partitions of a projection belong to the same groups.
  const name = projectionOf(projection)
  return {
    id: letterId({ source: 'parked', name: projection, key: String(event.position) }),
    source: 'parked',
    name: projection,
    what: `${event.type} in ${event.sequence}`,
    status: event.status === 'retrying' ? 'retrying' : 'dead',
    error,
    attempts: event.attempts,
    failedAt: last?.at ?? event.parkedAt,
    waiting,
    fingerprint: fingerprint({ source: 'parked', name, kind: event.type }, error),
  }
}
