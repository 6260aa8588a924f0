import type { DeadLetter, QueueStore } from './contract.ts'

/** A dead letter, and the queue that it lies in. */
export interface ListedLetter extends DeadLetter {
  queue: string
}

/** The letter after which a page starts: its seq and, if the page covers several queues, its queue. */
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
 * A page of the dead letters of some queues: sorted by queue name, and within each queue in original order. If letters
 * are redriven or discarded between two pages, a page that starts at `after` is not affected; with `offset`, as many
 * letters are skipped.
 */
export async function listDeadLetters(
  store: Pick<QueueStore, 'deadLetters'>,
  queues: readonly string[],
  { offset, limit, after, maxLength }: Page,
): Promise<ListedLetter[]> {
  const [only, ...others] = queues
  // If `after` names another queue, the page covered several queues, of which only this one is left.
  if (only !== undefined && others.length === 0 && (after?.queue ?? only) === only) {
    const letters = await store.deadLetters(only, offset, limit, after?.seq, maxLength)
    return letters.map((letter) => ({ ...letter, queue: only }))
  }
  const found: ListedLetter[] = []
  let skip = offset
  let left = maxLength
  for (const queue of queues.toSorted()) {
    if (found.length === limit) break
    // Among several queues, a seq without its queue means nothing: then the page starts at the first letter.
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
