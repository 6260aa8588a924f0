import { z } from 'zod'
import type { GroupsPage, Letter, LetterDetails, LettersPage } from '../contract.ts'
import { number, parseRequest } from '../request.ts'
import type { System } from '../system.ts'
import { LeftOut } from './left-out.ts'
import { groupLetters } from './letter-groups.ts'
import { BOXES, letterAt, letterFilter, nextInTurn, SCAN, walkLetters } from './letter-walk.ts'

const listRequest = letterFilter.extend({ after: z.string().optional(), limit: number(1, 500).default(50) })
const groupsRequest = letterFilter.pick({ source: true, name: true })
const oneRequest = z.strictObject({ id: z.string() })

/** Everything that failed (dead letters of queues, parked events, dead effects), page by page. */
export async function listLetters(system: System, input: unknown): Promise<LettersPage> {
  const { after, limit, ...filter } = parseRequest(listRequest, input ?? {})
  const { letters, next, leftOut } = await walkLetters(system, filter, { after, limit })
  return { letters: letters.map(({ letter }) => letter), next, ...leftOut.told() }
}

/**
 * Everything that failed, grouped by what failed in the same way; the largest group comes first. Of each source at
 * least 5,000 letters are examined, and at most 10,000.
 */
export async function listGroups(system: System, input: unknown): Promise<GroupsPage> {
  const filter = parseRequest(groupsRequest, input ?? {})
  const letters: Letter[] = []
  const leftOut = new LeftOut()
  let more = false
  for (let after: string | undefined; ; ) {
    const walk = await walkLetters(system, filter, { after, limit: SCAN, leftOut })
    for (const { letter } of walk.letters) letters.push(letter)
    more ||= walk.next !== null
    after = walk.next === null ? undefined : nextInTurn(walk.next, after, filter)
    if (after === undefined) return { groups: groupLetters(letters), more, ...leftOut.told() }
  }
}

/** One letter with everything that is known about it. @throws CqrsError CQRS_NOT_FOUND */
export async function showLetter(system: System, input: unknown): Promise<LetterDetails> {
  const id = await letterAt(system, parseRequest(oneRequest, input).id)
  return BOXES[id.source].show(system, id)
}
