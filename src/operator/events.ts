import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import { invalidField } from '../kernel/input.ts'
import { MAX_DEPTH, nestsDeeper, PAGE_CHARACTERS } from '../kernel/json-size.ts'
import type { Position } from '../kernel/position.ts'
import { EventFileWriter } from '../log/interchange.ts'
import type { EventsPage } from './contract.ts'
import { number, parseRequest, texts } from './request.ts'
import type { System } from './system.ts'

/** Positions examined for one page: a filter for a rare type must not scan the whole log in one call. */
const SCAN = 10_000

/** How much of an event that is too large for a list is shown, in characters of JSON. */
const SHOWN = 4_096

const request = z.strictObject({
  after: number(0).default(0),
  limit: number(1, 1_000).default(100),
  types: texts().optional(),
  stream: z.string().optional(),
})

/**
 * The next events of the log after a position. A page may have fewer than `limit` although more follow; go on with
 * `next`.
 */
export async function readEvents({ log }: System, input: unknown): Promise<EventsPage> {
  const { after, limit, types, stream } = parseRequest(request, input ?? {})
  const events: RecordedEvent[] = []
  let next = after
  const filter = types ? { types: new Set(types) } : {}
  for (let left = PAGE_CHARACTERS; next < after + SCAN; ) {
    const page = await log.readFrom(next, { limit: Math.min(limit, 1_000), bytes: left, ...filter })
    const wanted = stream === undefined ? page.events : page.events.filter((event) => event.stream === stream)
    const room = limit - events.length
    events.push(...wanted.slice(0, room).map(listed))
    left -= wanted.reduce((sum, event) => sum + JSON.stringify(event).length, 0)
    if (wanted.length > room) return { events, head: page.head, next: events.at(-1)?.position ?? next }
    // The log gave fewer positions than asked for: with large events, more would not fit into the answer.
    const isCut = page.through < Math.min(next + Math.min(limit, 1_000), page.head)
    next = page.through
    const isFull = events.length === limit || left <= 0 || (isCut && events.length > 0)
    if (page.through >= page.head || isFull) return { events, head: page.head, next }
    await nextTurn()
  }
  return { events, head: await log.head(), next }
}

/**
 * An event for a list. One that would not fit into the answer even alone is cut, so that the events after it can be
 * listed.
 */
function listed(event: RecordedEvent): RecordedEvent {
  const json = JSON.stringify(event.data)
  if (json.length > PAGE_CHARACTERS) {
    return { ...event, data: `${json.slice(0, SHOWN)}… (${json.length} characters)` }
  }
  return answerable(event)
}

function answerable(event: RecordedEvent): RecordedEvent {
  return nestsDeeper(event.data, MAX_DEPTH) ? { ...event, data: JSON.stringify(event.data) } : event
}

const oneRequest = z.strictObject({ position: number(1) })

/** One event as it is stored. @throws CqrsError CQRS_NOT_FOUND */
export async function showEvent({ log }: System, input: unknown): Promise<RecordedEvent> {
  const { position } = parseRequest(oneRequest, input)
  const { events, head } = await log.readFrom(position - 1, { limit: 1 })
  const [event] = events
  if (event) return answerable(event)
  throw new CqrsError('CQRS_NOT_FOUND', `There is no event at position ${position}; the log ends at ${head}.`)
}

const exportRequest = z.strictObject({ from: number(1).default(1), to: number(1).optional() })

/** Events that are read for one piece of an export. */
const EXPORT_PAGE = 500

/**
 * Writes the log, or a stretch of it, as a file of events, piece by piece; see {@link EventFileWriter}. Events that are
 * appended after the start are not included.
 *
 * @throws CqrsError CQRS_VALIDATION if the log has no such stretch
 */
export async function* exportEvents(
  { app, log }: Pick<System, 'app' | 'log'>,
  input: unknown,
): AsyncGenerator<string> {
  const { from, to: wanted } = parseRequest(exportRequest, input ?? {})
  const head = await log.head()
  const to = wanted ?? head
  assertStretch(from, to, head)
  const file = new EventFileWriter()
  yield file.begin({ app: app.name, from, to })
  for (let after = from - 1; after < to; ) {
    const page = await log.readFrom(after, { limit: Math.min(EXPORT_PAGE, to - after) })
    yield file.events(page.events)
    after = page.through
    // The caller may ask for the next piece at once, so other work of this process gets its turn here.
    await nextTurn()
  }
  yield file.end()
}

/** @throws CqrsError CQRS_VALIDATION if a log that ends at `head` does not have the stretch */
export function assertStretch(from: Position, to: Position, head: Position): void {
  // A shorter file than was asked for would pass for the whole stretch, e.g. if the log is an old copy.
  if (to > head) throw invalidField('to', `${to} is beyond the log, which ends at ${head}`)
  if (from <= to + 1 && from <= head + 1) return
  throw new CqrsError(
    'CQRS_VALIDATION',
    `from: there are no events from ${from} to ${to}; the log ends at ${head}.`,
  )
}
