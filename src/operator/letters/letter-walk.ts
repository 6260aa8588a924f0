import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import { isMeant } from '../../kernel/unit.ts'
import { LETTER_SOURCES, type Letter, type LetterSource } from '../contract.ts'
import type { System } from '../system.ts'
import { effectLetters } from './effect-letters.ts'
import { LeftOut } from './left-out.ts'
import type { LetterBox, ListedLetter } from './letter-box.ts'
import { type LetterId, parseLetterId } from './letter-id.ts'
import { parkedLetters } from './parked-letters.ts'
import { queueLetters } from './queue-letters.ts'

/** The places that hold letters, in the order in which they are listed. */
export const BOXES: Readonly<Record<LetterSource, LetterBox>> = {
  queue: queueLetters,
  parked: parkedLetters,
  effect: effectLetters,
}

/** Letters fetched in one call. */
const RUN = 500

/** Queues, projections and partitions that are asked at the same time. */
const AHEAD = 32

/** Letters that one call examines: a filter that matches few letters must not go through all of them in one call. */
export const SCAN = 5_000

/** How many known names are listed when somebody asks for an unknown one. */
const NAMED = 20

/** Selects letters; a letter has to match every field that is given. */
export const letterFilter = z.strictObject({
  source: z.enum(LETTER_SOURCES).optional(),
  /** A queue, a projection, or a partition of one. */
  name: z.string().min(1).optional(),
  status: z.enum(['dead', 'retrying']).optional(),
  /** Part of what failed: the type or the sequence of an event, the function of a message, the target of an effect. */
  what: z.string().min(1).optional(),
  /** Part of the error. */
  error: z.string().min(1).optional(),
  /** A group of letters that failed in the same way; see fingerprint.ts. */
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{12}$/)
    .optional(),
})

export type LetterFilter = z.output<typeof letterFilter>

/** How far a walk has got: in which source, at which name, and after which letter there. */
interface Place {
  readonly source: LetterSource
  readonly name: string
  readonly after: string | undefined
}

/** A stretch of a walk through the letters. */
export interface LetterWalk {
  /** By source, then by name, then in their original order. */
  readonly letters: readonly ListedLetter[]
  /** Pass it as `after` to go on; null at the end. */
  readonly next: string | null
  /** The places that could not be asked in this stretch; the one that was passed to the walk, if any. */
  readonly leftOut: LeftOut
}

/**
 * Walks through the letters that match. The next stretch begins after the last letter that was examined, not after a
 * count of letters; so it misses none if letters are settled or come back in the meantime.
 *
 * @param after the `next` of the previous stretch
 * @param limit letters to gather; a stretch may have fewer although more are to come
 * @throws CqrsError CQRS_VALIDATION if `after` is not a `next`, CQRS_NOT_FOUND if the name that is asked for does not
 *   exist
 */
export async function walkLetters(
  system: System,
  filter: LetterFilter,
  { after, limit, leftOut = new LeftOut() }: { after?: string | undefined; limit: number; leftOut?: LeftOut },
): Promise<LetterWalk> {
  const letters: ListedLetter[] = []
  let left = SCAN
  const shelves = await shelvesFrom(
    after === undefined ? undefined : readPlace(after),
    system,
    filter,
    leftOut,
  )
  if (shelves.length === 0 && after === undefined && !leftOut.some) await assertKnown(system, filter)
  const size = hasTextFilter(filter) ? RUN : Math.min(RUN, limit)
  const firstRun = aheadOf(shelves, ({ box, name, after: from }) => box.list(system, name, size, from))
  for (const [index, { box, name, after: begin }] of shelves.entries()) {
    let [from, wanted] = [begin, size]
    let ask = () => firstRun(index)
    for (;;) {
      if (letters.length >= limit || left <= 0) {
        return { letters, next: writePlace({ source: box.source, name, after: from }), leftOut }
      }
      const run = await leftOut.unless(box.source, name, ask)
      if (!run) break
      left -= run.length
      const fitting = run.filter(({ letter }) => fits(letter, filter))
      const room = limit - letters.length
      letters.push(...fitting.slice(0, room))
      from = (fitting.length > room ? letters : run).at(-1)?.cursor ?? from
      if (fitting.length <= room && run.length < wanted) break
      wanted = Math.min(RUN, left, hasTextFilter(filter) ? RUN : limit - letters.length)
      ask = () => box.list(system, name, wanted, from)
    }
  }
  return { letters, next: null, leftOut }
}

/**
 * Refuses a name that no queue or projection has: without this, a mistyped name would look like one without letters.
 *
 * @param isIt whether `name` means `each`, one of the existing names
 * @throws CqrsError CQRS_NOT_FOUND if no existing name is meant; nothing, if the existing names cannot be listed
 */
export async function assertKnown(
  system: System,
  { source, name }: Pick<LetterFilter, 'source' | 'name'>,
  isIt: (name: string, each: string) => boolean = isMeant,
): Promise<void> {
  if (name === undefined) return
  const known = new Set<string>()
  for (const box of Object.values(BOXES).filter((each) => !source || each.source === source)) {
    try {
      const names = await (box.everyName ?? box.names)(system)
      for (const each of names) known.add(each)
    } catch {
      // If a worker is away, or the provider is not ours, it is not known which names it has.
      return
    }
  }
  if ([...known].some((each) => isIt(name, each))) return
  const what =
    source === undefined
      ? 'queue or projection'
      : { queue: 'queue', parked: 'projection', effect: 'reactor' }[source]
  const some = [...known].sort().slice(0, NAMED).join(', ')
  throw new CqrsError('CQRS_NOT_FOUND', `There is no ${what} ${name}; there are: ${some || 'none'}.`)
}

/**
 * Parses the id of a letter.
 *
 * @throws CqrsError CQRS_VALIDATION if the text is not such an id, CQRS_NOT_FOUND if the queue, projection or
 *   partition in it does not exist
 */
export async function letterAt(system: System, text: string): Promise<LetterId> {
  const id = parseLetterId(text)
  await assertKnown(system, id, (name, each) => name === each)
  return id
}

/** A queue, projection or partition that a walk visits, and the letter after which it begins there. */
interface Shelf {
  readonly box: LetterBox
  readonly name: string
  readonly after: string | undefined
}

/** What a walk visits from a place on, in order. */
async function shelvesFrom(
  place: Place | undefined,
  system: System,
  filter: LetterFilter,
  leftOut: LeftOut,
): Promise<Shelf[]> {
  const boxes = Object.values(BOXES).filter(({ source }) => !filter.source || source === filter.source)
  const shelves: Shelf[] = []
  for (const box of boxes.slice(place ? boxes.findIndex(({ source }) => source === place.source) : 0)) {
    const begun = place?.source === box.source ? place : undefined
    const names = await leftOut.unless(box.source, null, () => box.names(system, filter.name))
    for (const name of (names ?? []).sort()) {
      if ((filter.name && !isMeant(filter.name, name)) || (begun && name < begun.name)) continue
      shelves.push({ box, name, after: name === begun?.name ? begun.after : undefined })
    }
  }
  return shelves
}

/**
 * Asks up to {@link AHEAD} of them at the same time, before their turn. Timeouts of those that do not answer then run
 * in parallel instead of one after the other.
 *
 * @returns gives the answer of the one at an index
 */
function aheadOf<Asked, Answer>(
  all: readonly Asked[],
  ask: (one: Asked) => Promise<Answer>,
): (index: number) => Promise<Answer> {
  const answers: Promise<Answer>[] = []
  return (index) => {
    if (index >= answers.length) {
      for (const one of all.slice(answers.length, index + AHEAD)) {
        const answer = ask(one)
        // The error is dealt with when it is the turn of this one; until then it must not count as unhandled.
        answer.catch(() => {})
        answers.push(answer)
      }
    }
    return answers[index] as Promise<Answer>
  }
}

function hasTextFilter({ status, what, error, fingerprint }: LetterFilter): boolean {
  return [status, what, error, fingerprint].some((part) => part !== undefined)
}

function fits(letter: Letter, { status, what, error, fingerprint }: LetterFilter): boolean {
  return (
    (status === undefined || letter.status === status) &&
    (fingerprint === undefined || letter.fingerprint === fingerprint) &&
    has(letter.what, what) &&
    has(letter.error, error)
  )
}

function has(text: string, part: string | undefined): boolean {
  return part === undefined || text.toLowerCase().includes(part.toLowerCase())
}

const place = z.tuple([z.enum(LETTER_SOURCES), z.string(), z.string().nullable()])

/** The `next` with which a walk continues from a place. */
export function writePlace({ source, name, after }: Place): string {
  return Buffer.from(JSON.stringify([source, name, after ?? null])).toString('base64url')
}

/**
 * The `next` with which a walk continues after letters have been settled that it had walked through.
 *
 * @param gone how many of a source and name are no longer there
 */
export function nextAfter(next: string, gone: (source: LetterSource, name: string) => number): string {
  const { source, name, after } = readPlace(next)
  const { afterLeaving } = BOXES[source]
  if (!afterLeaving || after === undefined) return next
  return writePlace({ source, name, after: afterLeaving(after, gone(source, name)) })
}

/**
 * Where the stretch behind one that ended at `next` begins if no source may keep a walk from the others: there, or, if
 * the one that ended had only letters of that source, at the next source. Undefined if there is none.
 *
 * @param after where the stretch that ended had begun
 */
export function nextInTurn(
  next: string,
  after: string | undefined,
  filter: LetterFilter,
): string | undefined {
  const sources = Object.values(BOXES).map(({ source }) => source)
  const begun = after === undefined ? (filter.source ?? sources[0]) : readPlace(after).source
  const { source } = readPlace(next)
  if (source !== begun) return next
  const following = filter.source ? undefined : sources[sources.indexOf(source) + 1]
  return following && writePlace({ source: following, name: '', after: undefined })
}

function readPlace(text: string): Place {
  try {
    const [source, name, after] = place.parse(JSON.parse(Buffer.from(text, 'base64url').toString()))
    return { source, name, after: after ?? undefined }
  } catch (cause) {
    throw new CqrsError('CQRS_VALIDATION', 'after: give the "next" of the previous page.', { cause })
  }
}
