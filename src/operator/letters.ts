import { z } from 'zod'
import type { DiscardResult, Letter, LetterDetails, LettersPage, RedriveResult } from './contract.ts'
import { type LetterId, parseLetterId } from './letter-id.ts'
import { discardParked, parkedLetters, redriveParked, showParked } from './parked-letters.ts'
import {
  deadLetterQueues,
  discardMessage,
  queueLetters,
  redriveMessage,
  redriveQueue,
  showMessage,
} from './queue-letters.ts'
import { parseRequest } from './request.ts'
import type { System } from './system.ts'

const listRequest = z.object({
  source: z.enum(['queue', 'parked']).optional(),
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

/** Everything that failed: dead letters of the queues and parked events of the projections, oldest first. */
export async function listLetters(system: System, input: unknown): Promise<LettersPage> {
  const { source, name, limit } = parseRequest(listRequest, input ?? {})
  const lists = await Promise.all([
    ...(source === 'parked'
      ? []
      : (await queuesOf(system, name)).map((queue) => queueLetters(system, queue, limit + 1))),
    ...(source === 'queue'
      ? []
      : projectionsOf(system, name).map((one) => parkedLetters(system, one, limit + 1))),
  ])
  const letters = lists.flatMap((list) => list.slice(0, limit))
  return {
    letters: letters.sort((left, right) => (left.failedAt < right.failedAt ? -1 : 1)),
    more: lists.some((list) => list.length > limit),
  }
}

/** One letter with everything that is known about it. @throws CqrsError CQRS_NOT_FOUND */
export async function showLetter(system: System, input: unknown): Promise<LetterDetails> {
  const id = parseLetterId(parseRequest(oneRequest, input).id)
  return id.source === 'queue' ? showMessage(system, id) : showParked(system, id)
}

/** Tries letters again: one, all of a queue or projection, or everything, each sequence in order. */
export async function redriveLetters(system: System, input: unknown): Promise<RedriveResult> {
  const request = parseRequest(redriveRequest, input)
  if ('id' in request) return redriveOne(system, parseLetterId(request.id))
  const name = 'name' in request ? request.name : undefined
  let redriven = 0
  for (const queue of await queuesOf(system, name)) redriven += (await redriveQueue(system, queue)).redriven
  for (const projection of projectionsOf(system, name)) {
    for (const letter of await parkedLetters(system, projection, 500)) {
      redriven += (await redriveIfStillThere(system, letter)).redriven
    }
  }
  return { redriven }
}

/** Gives one letter up, for a reason that is recorded. @throws CqrsError CQRS_NOT_FOUND */
export async function discardLetter(system: System, input: unknown): Promise<DiscardResult> {
  const { id, reason, by } = parseRequest(discardRequest, input)
  const parsed = parseLetterId(id)
  return parsed.source === 'queue'
    ? discardMessage(system, parsed)
    : discardParked(system, parsed, by, reason)
}

function redriveOne(system: System, id: LetterId): Promise<RedriveResult> {
  return id.source === 'queue' ? redriveMessage(system, id) : redriveParked(system, id)
}

/** A letter of a list may be settled by the live projector before its turn comes; that is no failure. */
async function redriveIfStillThere(system: System, letter: Letter): Promise<RedriveResult> {
  try {
    return await redriveOne(system, parseLetterId(letter.id))
  } catch (error) {
    const details = await showLetter(system, { id: letter.id }).catch(() => undefined)
    if (details === undefined) return { redriven: 0 }
    throw error
  }
}

async function queuesOf(system: System, name: string | undefined): Promise<string[]> {
  const queues = await deadLetterQueues(system)
  return name === undefined ? queues : queues.filter((queue) => queue === name)
}

function projectionsOf(system: System, name: string | undefined): string[] {
  const projections = [...system.app.projections.keys()]
  return name === undefined ? projections : projections.filter((projection) => projection === name)
}
