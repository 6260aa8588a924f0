import type { DeadLetter, QueueStore } from './contract.ts'

/** A dead letter, and the queue that it lies in. */
export interface ListedLetter extends DeadLetter {
  queue: string
}

/** The letter behind which a page begins: its seq, and which of several queues that is of. */
export interface AfterLetter {
  seq: number
  queue?: string | undefined
}

interface Page {
  offset: number
  limit: number
  after: AfterLetter | undefined
  /** Characters of data and histories in the page; letters beyond are cut. */
  maxLength: number
}

/**
 * A page of the dead letters of some queues, each in original order, by the names of the queues. Letters that are
 * settled meanwhile move those behind an `after` not; by `offset` they do.
 */
export async function listDeadLetters(
  store: Pick<QueueStore, 'deadLetters'>,
  queues: readonly string[],
  { offset, limit, after, maxLength }: Page,
): Promise<ListedLetter[]> {
  const [only, ...others] = queues
  if (only !== undefined && others.length === 0) {
    const letters = await store.deadLetters(only, offset, limit, after?.seq, maxLength)
    return letters.map((letter) => ({ ...letter, queue: only }))
  }
  const found: ListedLetter[] = []
  let skip = offset
  let left = maxLength
  for (const queue of queues.toSorted()) {
    if (found.length === limit) break
    // A seq without its queue says nothing among several.
    if (after?.queue !== undefined && queue < after.queue) continue
    const seq = queue === after?.queue ? after.seq : 0
    const letters = await store.deadLetters(queue, 0, skip + limit - found.length, seq, left)
    left = Math.max(0, left - letters.reduce((sum, letter) => sum + lengthOf(letter), 0))
    found.push(...letters.slice(skip).map((letter) => ({ ...letter, queue })))
    skip -= Math.min(skip, letters.length)
  }
  return found
}

function lengthOf({ data, history }: DeadLetter): number {
  return history.reduce((sum, { error }) => sum + error.length, data.length)
}
