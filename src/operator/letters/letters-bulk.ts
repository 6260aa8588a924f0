import { z } from 'zod'
import { CqrsError } from '../../kernel/errors.ts'
import { isMeant } from '../../kernel/unit.ts'
import type { DiscardResult, FailedAgain, Letter, RedriveResult } from '../contract.ts'
import type { Operator } from '../operation.ts'
import { parseRequest } from '../request.ts'
import type { System } from '../system.ts'
import { LeftOut } from './left-out.ts'
import { type LetterBox, type ListedLetter, settleEach } from './letter-box.ts'
import type { LetterId } from './letter-id.ts'
import {
  assertKnown,
  BOXES,
  type LetterFilter,
  letterAt,
  letterFilter,
  nextAfter,
  walkLetters,
  writePlace,
} from './letter-walk.ts'

/** Letters handled in one call; the caller goes on with `next`. */
const STEP = 500

/**
 * How long one call goes on handling letters, in milliseconds. The rest is left to the next call. Over HTTP a caller
 * waits 30 s for the answer (`default_timeout`), and the last letter may take another worker 10 s.
 */
const STEP_MS = 10_000

/** How many letters a dry run shows, and how many repeated failures a redrive reports. */
const EXAMPLES = 20

const one = z.strictObject({ id: z.string() })
const many = letterFilter
  .extend({
    all: z.literal(true).optional(),
    dryRun: z.boolean().default(false),
    after: z.string().optional(),
    /** Only letters that had failed by this time. The first call answers it; the following ones pass it on. */
    asOf: z.iso.datetime().optional(),
  })
  .refine(({ dryRun: _, after: _after, asOf: _asOf, ...which }) => Object.values(which).some(Boolean), {
    error:
      'say which letters: id, all: true, or at least one of source, name, status, what, error, fingerprint',
  })
const reason = z.string().trim().min(1).max(1_000)
const discardOne = one.extend({ reason })
const discardMany = many.safeExtend({ reason })

type Many = z.output<typeof many>

/**
 * Tries letters again, each sequence in its original order: one letter, those that match a filter, or all. A dry run
 * only counts and shows them. One call handles at most 500 letters and stops after about 10 s. If it means all letters,
 * or all of a source or name, there is no limit of 500.
 *
 * @throws CqrsError CQRS_NOT_FOUND if the letter, the group or the name that is asked for does not exist
 */
export async function redriveLetters(system: System, input: unknown): Promise<RedriveResult> {
  if (meansOne(input)) {
    const id = await letterAt(system, parseRequest(one, input).id)
    return BOXES[id.source].redrive(system, id)
  }
  const request = parseRequest(many, input)
  const places = readPlaces(request.after)
  if (isWholesale({ ...request, after: places ? undefined : request.after })) {
    return redriveAll(system, request, places)
  }
  const done = new Redriven()
  const step = await takeStep(system, request, async (box, id) => done.add(await box.redrive(system, id)))
  return { ...done.told(), ...step }
}

/** What was redriven so far, and what failed again. */
class Redriven {
  #redriven = 0
  #failed = 0
  readonly #failures: FailedAgain[] = []

  add({ redriven, failed = 0, failures = [] }: RedriveResult): void {
    this.#redriven += redriven
    this.#failed += failed
    this.#failures.push(...failures.slice(0, EXAMPLES - this.#failures.length))
  }

  told(): Pick<RedriveResult, 'redriven' | 'failed' | 'failures'> {
    const failed = this.#failed > 0 && { failed: this.#failed, failures: this.#failures }
    return { redriven: this.#redriven, ...failed }
  }
}

/**
 * Gives up letters, for a reason that is recorded: one letter, those that match a filter, or all. Events that waited
 * behind them go on. If one of those fails in turn, it is a new letter and is not discarded with the others.
 *
 * @throws CqrsError CQRS_NOT_FOUND if the letter, the group or the name that is asked for does not exist
 */
export async function discardLetters(
  system: System,
  input: unknown,
  { by }: Operator,
): Promise<DiscardResult> {
  if (meansOne(input)) {
    const request = parseRequest(discardOne, input)
    const id = await letterAt(system, request.id)
    return BOXES[id.source].discard(system, id, by, request.reason)
  }
  const request = parseRequest(discardMany, input)
  let discarded = 0
  const step = await takeStep(system, request, async (box, id) => {
    discarded += (await box.discard(system, id, by, request.reason)).discarded
  })
  return { discarded, ...step }
}

/** Whether `input` makes {@link redriveLetters} and {@link discardLetters} a dry run, which changes nothing. */
export function isDryRun(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'dryRun' in input && input.dryRun === true
}

function meansOne(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'id' in input
}

function isWholesale({ dryRun, after, status, what, error, fingerprint }: Many): boolean {
  return ![dryRun, after, status, what, error, fingerprint].some(Boolean)
}

/**
 * Lets each source redrive everything it has. The queues or projections of a source do so in parallel, because
 * letters of different ones have no common order. Parked events are tried one by one, and a queue or a reactor may have
 * very many letters. That may take longer than a caller waits; then the answer has a `next` with which to continue.
 *
 * @param places where to continue, as {@link writePlaces} wrote it; from the beginning if left out
 */
async function redriveAll(
  system: System,
  { source, name }: LetterFilter,
  places: ReadonlyMap<string, string> | undefined,
): Promise<RedriveResult> {
  const leftOut = new LeftOut()
  const done = new Redriven()
  const isOver = deadline(system)
  const open = new Map<string, string>()
  let found = 0
  const tell = (some: RedriveResult) => done.add(some)
  for (const box of Object.values(BOXES).filter((each) => !source || each.source === source)) {
    const placeOf = (each: string) => `${box.source}:${each}`
    // Not those that have letters now: a queue whose redrive has ended meanwhile has yet to say how many were put back.
    const begun = [...(places?.keys() ?? [])].filter((each) => each.startsWith(placeOf('')))
    const names = places
      ? begun.map((each) => each.slice(placeOf('').length))
      : await leftOut.unless(box.source, null, () => box.names(system, name))
    const meant = (names ?? []).filter((each) => !name || isMeant(name, each))
    found += meant.length
    await Promise.all(
      meant.map(async (each) => {
        const stretch = { after: places?.get(placeOf(each)), isOver }
        const next = await leftOut.unless(box.source, each, () => box.redriveAll(system, each, tell, stretch))
        if (next !== undefined) open.set(placeOf(each), next)
      }),
    )
  }
  if (found === 0 && !leftOut.some) await assertKnown(system, { source, name })
  return { ...done.told(), ...(open.size > 0 && { next: writePlaces(open) }), ...leftOut.told() }
}

function deadline({ monotonic }: Pick<System, 'monotonic'>): () => boolean {
  const end = monotonic() + STEP_MS
  return () => monotonic() >= end
}

/**
 * The prefix of the `next` of a redrive of all letters. After it come the projections that are not done, and how far
 * each has got. The `next` of a walk never begins like this.
 */
const ALL = 'all.'

function writePlaces(open: ReadonlyMap<string, string>): string {
  return ALL + Buffer.from(JSON.stringify([...open])).toString('base64url')
}

/** What {@link writePlaces} wrote; undefined if `after` is not the `next` of a redrive of all letters. */
function readPlaces(after: string | undefined): ReadonlyMap<string, string> | undefined {
  if (!after?.startsWith(ALL)) return undefined
  try {
    return new Map(places.parse(JSON.parse(Buffer.from(after.slice(ALL.length), 'base64url').toString())))
  } catch (cause) {
    throw new CqrsError('CQRS_VALIDATION', 'after: give the "next" of the previous call.', { cause })
  }
}

const places = z.array(z.tuple([z.string(), z.string().regex(/^\d+(\.\d+)?$/)]))

/**
 * Gathers the letters first and handles them afterwards, so that a letter that arises in the meantime is not among
 * them.
 */
async function takeStep(
  system: System,
  { dryRun, after, asOf = system.now().toISOString(), all: _, ...filter }: Many,
  act: (box: LetterBox, id: LetterId) => Promise<void>,
) {
  const { letters: walked, next: end, leftOut } = await walkLetters(system, filter, { after, limit: STEP })
  const found = walked.filter(({ letter }) => hadFailed(letter, asOf))
  const letters = found.map(({ letter }) => letter)
  if (filter.fingerprint && letters.length === 0 && !after && end === null && !leftOut.some) {
    const message = `No letter belongs to the group ${filter.fingerprint} (any more); list the groups again.`
    throw new CqrsError('CQRS_NOT_FOUND', message)
  }
  if (dryRun) {
    return {
      examples: letters.slice(0, EXAMPLES),
      matched: letters.length,
      next: end,
      asOf,
      ...leftOut.told(),
    }
  }
  const isOver = deadline(system)
  let matched = 0
  let next = end
  const gone = new Map<string, number>()
  const keyOf = (source: string, name: string) => `${source}:${name}`
  for (const [key, run] of Map.groupBy(found, ({ letter: { source, name } }) => keyOf(source, name))) {
    const { source, name } = (run[0] as ListedLetter).letter
    const box = BOXES[source]
    await leftOut.unless(source, name, async () => {
      for (const { letter, cursor } of run) {
        await settleEach({ box, system }, [letter], (id) => act(box, id))
        matched += 1
        gone.set(key, (gone.get(key) ?? 0) + 1)
        if (matched === found.length || !isOver()) continue
        next = writePlace({ source, name, after: cursor })
        return
      }
    })
    if (next !== end) break
  }
  return {
    matched: next === end ? letters.length : matched,
    next: next && nextAfter(next, (source, name) => gone.get(keyOf(source, name)) ?? 0),
    asOf,
    ...leftOut.told(),
  }
}

/**
 * Whether a letter had failed by `asOf`. A parked event with no attempts has not failed: it only came to the front of
 * its sequence because the events before it were settled. A message without a failed attempt counts all the same: it
 * is dead because the workers that had it died, or its bytes changed.
 */
function hadFailed({ source, attempts, failedAt }: Letter, asOf: string): boolean {
  return (source !== 'parked' || attempts > 0) && failedAt <= asOf
}
