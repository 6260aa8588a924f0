import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import { isMeant } from '../kernel/unit.ts'
import type { DiscardResult, FailedAgain, Letter, RedriveResult } from './contract.ts'
import { LeftOut } from './left-out.ts'
import { type LetterBox, settleEach } from './letter-box.ts'
import type { LetterId } from './letter-id.ts'
import { assertKnown, BOXES, type LetterFilter, letterAt, letterFilter, walkLetters } from './letter-walk.ts'
import type { Operator } from './operations.ts'
import { parseRequest } from './request.ts'
import type { System } from './system.ts'

/** Letters that one call deals with; the caller goes on with `next`. */
const STEP = 500

/** Letters that a dry run shows, and those of which a redrive says that they failed again. */
const EXAMPLES = 20

const one = z.strictObject({ id: z.string() })
const many = letterFilter
  .extend({
    all: z.literal(true).optional(),
    dryRun: z.boolean().default(false),
    after: z.string().optional(),
    /** Only letters that had failed by then, as the first call answered. */
    asOf: z.iso.datetime().optional(),
  })
  .refine(({ dryRun: _, after: _after, asOf: _asOf, ...which }) => Object.values(which).some(Boolean), {
    error: 'say which: id, all: true, or one of source, name, status, what, error, fingerprint',
  })
const reason = z.string().trim().min(1).max(1_000)
const discardOne = one.extend({ reason })
const discardMany = many.safeExtend({ reason })

type Many = z.output<typeof many>

/**
 * Tries letters again, each sequence in its original order: one, those that a filter fits, or all. A dry run
 * counts and shows them. One call deals with at most 500, unless all of a source or name are meant.
 *
 * @throws CqrsError CQRS_NOT_FOUND if one letter, or a group, is meant and not there, or nobody has the name
 */
export async function redriveLetters(system: System, input: unknown): Promise<RedriveResult> {
  if (meansOne(input)) {
    const id = await letterAt(system, parseRequest(one, input).id)
    return BOXES[id.source].redrive(system, id)
  }
  const request = parseRequest(many, input)
  if (isWholesale(request)) return redriveAll(system, request)
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
 * Gives letters up for a reason that is recorded: one, those that a filter fits, or all. What waited behind
 * them goes on; a letter that arises from that is not among those meant.
 *
 * @throws CqrsError CQRS_NOT_FOUND if one letter is meant and not there
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

/** Whether {@link redriveLetters} and {@link discardLetters} leave everything as it is, whatever else `input` says. */
export function isDryRun(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'dryRun' in input && input.dryRun === true
}

function meansOne(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'id' in input
}

function isWholesale({ dryRun, after, status, what, error, fingerprint }: Many): boolean {
  return ![dryRun, after, status, what, error, fingerprint].some(Boolean)
}

/** Each source puts back all it has in one go; its queues or units do that at once, since their letters have no order in common. */
async function redriveAll(system: System, { source, name }: LetterFilter): Promise<RedriveResult> {
  const leftOut = new LeftOut()
  const done = new Redriven()
  let found = 0
  const tell = (some: RedriveResult) => done.add(some)
  for (const box of Object.values(BOXES).filter((each) => !source || each.source === source)) {
    const names = (await leftOut.unless(box.source, null, () => box.names(system, name))) ?? []
    const meant = names.filter((each) => !name || isMeant(name, each))
    found += meant.length
    await Promise.all(
      meant.map((each) => leftOut.unless(box.source, each, () => box.redriveAll(system, each, tell))),
    )
  }
  if (found === 0 && !leftOut.some) await assertKnown(system, { source, name })
  return { ...done.told(), ...leftOut.told() }
}

/** Gathers the letters first and deals with them then, so that none that arises meanwhile is among them. */
async function takeStep(
  system: System,
  { dryRun, after, asOf = system.now().toISOString(), all: _, ...filter }: Many,
  act: (box: LetterBox, id: LetterId) => Promise<void>,
) {
  const { letters: found, next, leftOut } = await walkLetters(system, filter, { after, limit: STEP })
  const letters = found.map(({ letter }) => letter).filter((letter) => hadFailed(letter, asOf))
  if (filter.fingerprint && letters.length === 0 && !after && next === null && !leftOut.some) {
    const message = `No letter belongs to the group ${filter.fingerprint} (any more); list the groups again.`
    throw new CqrsError('CQRS_NOT_FOUND', message)
  }
  const answer = { matched: letters.length, next, asOf }
  if (dryRun) return { examples: letters.slice(0, EXAMPLES), ...answer, ...leftOut.told() }
  for (const run of Map.groupBy(letters, ({ source, name }) => `${source}:${name}`).values()) {
    const { source, name } = run[0] as Letter
    const box = BOXES[source]
    await leftOut.unless(source, name, () => settleEach({ box, system }, run, (id) => act(box, id)))
  }
  return { ...answer, ...leftOut.told() }
}

/**
 * An event that stands first in its sequence only since those before it were settled has failed at nothing yet. A
 * message is dead without a failed attempt when its workers died, or its bytes changed.
 */
function hadFailed({ source, attempts, failedAt }: Letter, asOf: string): boolean {
  return (source !== 'parked' || attempts > 0) && failedAt <= asOf
}
