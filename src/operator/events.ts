import { z } from 'zod'
import type { RecordedEvent } from '../kernel/event.ts'
import type { EventsPage } from './contract.ts'
import { number, parseRequest, texts } from './request.ts'
import type { System } from './system.ts'

/** Positions looked at for one page, so that a rare type does not scan the whole log in one call. */
const SCAN = 10_000

const request = z.object({
  after: number(0).default(0),
  limit: number(1, 1_000).default(100),
  types: texts().optional(),
  stream: z.string().optional(),
})

/** The next events of the log after a position; a page may hold fewer than there are, `next` goes on. */
export async function readEvents({ log }: System, input: unknown): Promise<EventsPage> {
  const { after, limit, types, stream } = parseRequest(request, input ?? {})
  const events: RecordedEvent[] = []
  let next = after
  const filter = types ? { types: new Set(types) } : {}
  while (next < after + SCAN) {
    const page = await log.readFrom(next, { limit: Math.min(limit, 1_000), ...filter })
    const wanted = stream === undefined ? page.events : page.events.filter((event) => event.stream === stream)
    const room = limit - events.length
    events.push(...wanted.slice(0, room))
    if (wanted.length > room) return { events, head: page.head, next: events.at(-1)?.position ?? next }
    next = page.through
    if (page.through >= page.head || events.length === limit) return { events, head: page.head, next }
  }
  return { events, head: await log.head(), next }
}
