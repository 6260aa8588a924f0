import { z } from 'zod'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import { isMeant } from '../kernel/unit.ts'
import type {
  DiscardResult,
  GroupsPage,
  Letter,
  LetterDetails,
  LetterSource,
  LettersPage,
  RedriveResult,
} from './contract.ts'
import { effectLetters } from './effect-letters.ts'
import { type LetterBox, settleEach } from './letter-box.ts'
import { groupLetters } from './letter-groups.ts'
import { parseLetterId } from './letter-id.ts'
import { parkedLetters } from './parked-letters.ts'
import { queueLetters } from './queue-letters.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

const BOXES: Readonly<Record<LetterSource, LetterBox>> = {
  queue: queueLetters,
  parked: parkedLetters,
  effect: effectLetters,
}

const listRequest = z.object({
  source: z.enum(['queue', 'parked', 'effect']).optional(),
  name: z.string().optional(),
  limit: number(1, 500).default(50),
})
const groupsRequest = listRequest.pick({ source: true, name: true })
const oneRequest = z.object({ id: z.string() })
const groupRequest = z.object({ fingerprint: z.string().regex(/^[0-9a-f]{12}$/) })
const redriveRequest = z.union([
  oneRequest,
  groupRequest,
  z.object({ name: z.string() }),
  z.object({ all: z.literal(true) }),
])
const why = { reason: z.string().trim().min(1), by: z.string().default('operator') }
const discardRequest = z.union([oneRequest.extend(why), groupRequest.extend(why)])

/** Letters of each queue and projection that are looked at for groups. */
const GROUPED = 1_000

/** Everything that failed: dead letters of queues, parked events, effects that are dead; oldest first. */
export async function listLetters(system: System, input: unknown): Promise<LettersPage> {
  const { source, name, limit } = parseRequest(listRequest, input ?? {})
  const boxes = source ? [BOXES[source]] : Object.values(BOXES)
  const found = await inEach(system, boxes, name, (box, one) => box.list(system, one, limit + 1))
  const letters = found.results.flatMap((list) => list.slice(0, limit))
  return {
    letters: letters.sort((left, right) => (left.failedAt < right.failedAt ? -1 : 1)),
    more: found.results.some((list) => list.length > limit),
    unavailable: found.unavailable,
  }
}

/** What failed, gathered by what failed in the same way; the group with the most letters first. */
export async function listGroups(system: System, input: unknown): Promise<GroupsPage> {
  const { source, name } = parseRequest(groupsRequest, input ?? {})
  const boxes = source ? [BOXES[source]] : Object.values(BOXES)
  const found = await inEach(system, boxes, name, (box, one) => box.list(system, one, GROUPED))
  return {
    groups: groupLetters(found.results.flat()),
    more: found.results.some((list) => list.length === GROUPED),
    unavailable: found.unavailable,
  }
}

/** One letter with everything that is known about it. @throws CqrsError CQRS_NOT_FOUND */
export async function showLetter(system: System, input: unknown): Promise<LetterDetails> {
  const id = parseLetterId(parseRequest(oneRequest, input).id)
  return BOXES[id.source].show(system, id)
}

/** Tries letters again: one, a group, all of a queue or projection, or everything, each sequence in order. */
export async function redriveLetters(system: System, input: unknown): Promise<RedriveResult> {
  const request = parseRequest(redriveRequest, input)
  if ('id' in request) {
    const id = parseLetterId(request.id)
    return BOXES[id.source].redrive(system, id)
  }
  if ('fingerprint' in request) {
    const { done, unavailable } = await settleGroup(system, request.fingerprint, async (box, letter) => {
      return (await box.redrive(system, parseLetterId(letter.id))).redriven
    })
    return { redriven: done, unavailable }
  }
  const name = 'name' in request ? request.name : undefined
  const boxes = Object.values(BOXES)
  const done = await inEach(system, boxes, name, (box, one) => box.redriveAll(system, one))
  return {
    redriven: done.results.reduce((sum, { redriven }) => sum + redriven, 0),
    unavailable: done.unavailable,
  }
}

/** Gives letters up, one or a group, for a reason that is recorded. @throws CqrsError CQRS_NOT_FOUND */
export async function discardLetters(system: System, input: unknown): Promise<DiscardResult> {
  const request = parseRequest(discardRequest, input)
  const { reason, by } = request
  if ('id' in request) {
    const id = parseLetterId(request.id)
    return BOXES[id.source].discard(system, id, by, reason)
  }
  const { done, unavailable } = await settleGroup(system, request.fingerprint, async (box, letter) => {
    return (await box.discard(system, parseLetterId(letter.id), by, reason)).discarded
  })
  return { discarded: done, unavailable }
}

/** Deals with the letters of a group, oldest first in each queue and projection; those that arise meanwhile wait. */
async function settleGroup(
  system: System,
  fingerprint: string,
  act: (box: LetterBox, letter: Letter) => Promise<number>,
): Promise<{ done: number; unavailable: LetterSource[] }> {
  const boxes = Object.values(BOXES)
  const found = await inEach(system, boxes, undefined, (box, one) => box.list(system, one, GROUPED))
  const letters = found.results.flat().filter((letter) => letter.fingerprint === fingerprint)
  if (letters.length === 0 && found.unavailable.length === 0) {
    throw new CqrsError(
      'CQRS_NOT_FOUND',
      `No letter belongs to the group ${fingerprint} (any more); list the groups again.`,
    )
  }
  const isThere = (letter: Letter) =>
    showLetter(system, { id: letter.id }).then(
      () => true,
      () => false,
    )
  const done = await settleEach(letters, (letter) => act(BOXES[letter.source], letter), isThere)
  return { done, unavailable: found.unavailable }
}

/**
 * Does something under every name of the boxes, or under one. A source of which some worker is away is named as
 * unavailable, with what the others gave.
 */
async function inEach<Result>(
  system: System,
  boxes: readonly LetterBox[],
  only: string | undefined,
  act: (box: LetterBox, name: string) => Promise<Result>,
): Promise<{ results: Result[]; unavailable: LetterSource[] }> {
  const results: Result[] = []
  const unavailable = new Set<LetterSource>()
  const attempt = async (source: LetterSource, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      if (!isCqrsError(error, 'CQRS_ENGINE_UNREACHABLE')) throw error
      unavailable.add(source)
    }
  }
  for (const box of boxes) {
    await attempt(box.source, async () => {
      const names = await box.names(system)
      for (const name of names.filter((one) => only === undefined || isMeant(only, one))) {
        await attempt(box.source, async () => void results.push(await act(box, name)))
      }
    })
  }
  return { results, unavailable: [...unavailable] }
}
