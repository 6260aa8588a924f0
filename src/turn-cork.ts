import type { Writable } from 'node:stream'

/**
 * Gathers everything that is written to a stream within one turn of the event loop into one write.
 *
 * @returns a function to call before each write; it corks the stream until the turn ends, unless it is corked already
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
