import type { Writable } from 'node:stream'

/**
 * Has what is written to a stream within one turn of the event loop leave in one write.
 *
 * @returns to be called before each write: corks the stream, if it is not yet, until the turn ends
 */
export function corkUntilTurnEnds(stream: Pick<Writable, 'cork' | 'uncork'>): () => void {
  const cork = stream.cork.bind(stream)
  let corked = false
  const uncork = (): void => {
    corked = false
    stream.uncork()
  }
  return () => {
    if (corked) return
    corked = true
    cork()
    setImmediate(uncork)
  }
}
