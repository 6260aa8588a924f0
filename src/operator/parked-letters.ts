import { z } from 'zod'
import type { DiscardResult, Letter, LetterDetails, RedriveResult } from './contract.ts'
import { type LetterId, letterId } from './letter-id.ts'
import type { System } from './system.ts'

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
const shown = z.object({ event: parkedEvent, behind: z.array(parkedEvent) })
const redriven = z.object({ redriven: z.number() })
const discarded = z.object({ discarded: z.number() })

/** The parked heads of a projection's sequences, by position. */
export async function parkedLetters(system: System, projection: string, limit: number): Promise<Letter[]> {
  const found = letters.parse(
    await system.call('ops::parked::letters', { projection, limit: Math.min(limit, 500) }),
  )
  return found.map(({ event, waiting }) => toLetter(projection, event, waiting))
}

/** One parked event, with the event itself from the log and what waits behind it. */
export async function showParked(system: System, { name, key }: LetterId): Promise<LetterDetails> {
  const position = Number(key)
  const { event, behind } = shown.parse(
    await system.call('ops::parked::show', { projection: name, position }),
  )
  const { events } = await system.log.readFrom(position - 1, { limit: 1 })
  return {
    ...toLetter(name, event, behind.length),
    content: events[0],
    failures: event.failures,
    behind: behind.slice(0, 100).map((other) => other.position),
  }
}

/** Applies a parked event and what waits behind it, in order, up to the first failure. */
export async function redriveParked(system: System, { name, key }: LetterId): Promise<RedriveResult> {
  return redriven.parse(
    await system.call('ops::parked::redrive', { projection: name, position: Number(key) }),
  )
}

/** Gives a parked event up; what waits behind it is tried. */
export async function discardParked(
  system: System,
  { name, key }: LetterId,
  by: string,
  reason: string,
): Promise<DiscardResult> {
  const input = { projection: name, position: Number(key), by, reason }
  return discarded.parse(await system.call('ops::parked::discard', input))
}

function toLetter(projection: string, event: z.output<typeof parkedEvent>, waiting: number): Letter {
  const last = event.failures.at(-1)
  return {
    id: letterId({ source: 'parked', name: projection, key: String(event.position) }),
    source: 'parked',
    name: projection,
    what: `${event.type} in ${event.sequence}`,
    status: event.status === 'retrying' ? 'retrying' : 'dead',
    error: last?.message ?? 'It waits behind an earlier event of its sequence.',
    attempts: event.attempts,
    failedAt: last?.at ?? event.parkedAt,
    waiting,
  }
}
