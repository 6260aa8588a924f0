import { z } from 'zod'
import type { GroupsPage, LetterDetails, LettersPage } from './contract.ts'
import { groupLetters } from './letter-groups.ts'
import { BOXES, letterAt, letterFilter, SCAN, walkLetters } from './letter-walk.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

const listRequest = letterFilter.extend({ after: z.string().optional(), limit: number(1, 500).default(50) })
const groupsRequest = letterFilter.pick({ source: true, name: true })
const oneRequest = z.strictObject({ id: z.string() })

/** Everything that failed (dead letters of queues, parked events, dead effects), page by page. */
export async function listLetters(system: System, input: unknown): Promise<LettersPage> {
  const { after, limit, ...filter } = parseRequest(listRequest, input ?? {})
  const { letters, next, leftOut } = await walkLetters(system, filter, { after, limit })
  return { letters: letters.map(({ letter }) => letter), next, ...leftOut.told() }
}

/** Everything that failed, grouped by what failed in the same way; the largest group comes first. */
export async function listGroups(system: System, input: unknown): Promise<GroupsPage> {
  const filter = parseRequest(groupsRequest, input ?? {})
  const { letters, next, leftOut } = await walkLetters(system, filter, { limit: SCAN })
  const groups = groupLetters(letters.map(({ letter }) => letter))
  return { groups, more: next !== null, ...leftOut.told() }
}

/** One letter with everything that is known about it. @throws CqrsError CQRS_NOT_FOUND */
export async function showLetter(system: System, input: unknown): Promise<LetterDetails> {
  const id = await letterAt(system, parseRequest(oneRequest, input).id)
  return BOXES[id.source].show(system, id)
}
