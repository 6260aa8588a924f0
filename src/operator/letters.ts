import { z } from 'zod'
import { isCqrsError } from '../kernel/errors.ts'
import { isMeant } from '../kernel/unit.ts'
import type { DiscardResult, LetterDetails, LetterSource, LettersPage, RedriveResult } from './contract.ts'
import { effectLetters } from './effect-letters.ts'
import type { LetterBox } from './letter-box.ts'
import { parseLetterId } from './letter-id.ts'
import { parkedLetters } from './parked-letters.ts'
import { queueLetters } from './queue-letters.ts'
import { parseRequest } from './request.ts'
import type { System } from './system.ts'

const BOXES: Readonly<Record<LetterSource, LetterBox>> = {
  queue: queueLetters,
  parked: parkedLetters,
  effect: effectLetters,
}

const listRequest = z.object({
  source: z.enum(['queue', 'parked', 'effect']).optional(),
  name: z.string().optional(),
  limit: z.int().min(1).max(500).default(50),
})
const oneRequest = z.object({ id: z.string() })
const redriveRequest = z.union([
  oneRequest,
  z.object({ name: z.string() }),
  z.object({ all: z.literal(true) }),
])
const discardRequest = z.object({
  id: z.string(),
  reason: z.string().trim().min(1),
  by: z.string().default('operator'),
})

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

/** One letter with everything that is known about it. @throws CqrsError CQRS_NOT_FOUND */
export async function showLetter(system: System, input: unknown): Promise<LetterDetails> {
  const id = parseLetterId(parseRequest(oneRequest, input).id)
  return BOXES[id.source].show(system, id)
}

/** Tries letters again: one, all of a queue or projection, or everything, each sequence in order. */
export async function redriveLetters(system: System, input: unknown): Promise<RedriveResult> {
  const request = parseRequest(redriveRequest, input)
  if ('id' in request) {
    const id = parseLetterId(request.id)
    return BOXES[id.source].redrive(system, id)
  }
  const name = 'name' in request ? request.name : undefined
  const boxes = Object.values(BOXES)
  const done = await inEach(system, boxes, name, (box, one) => box.redriveAll(system, one))
  return {
    redriven: done.results.reduce((sum, { redriven }) => sum + redriven, 0),
    unavailable: done.unavailable,
  }
}

/** Gives one letter up, for a reason that is recorded. @throws CqrsError CQRS_NOT_FOUND */
export async function discardLetter(system: System, input: unknown): Promise<DiscardResult> {
  const { id, reason, by } = parseRequest(discardRequest, input)
  const parsed = parseLetterId(id)
  return BOXES[parsed.source].discard(system, parsed, by, reason)
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
