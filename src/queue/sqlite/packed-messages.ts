import type { EnqueueOutcome, NewMessage } from '../contract.ts'

/**
 * Messages as they are sent to the writer thread: a flat list of their values. (Their outcomes come back as numbers.)
 * Data that passes between threads is copied field by field, and the field names of objects would cost more than the
 * values.
 */
export type PackedMessages = readonly (string | undefined)[]

/** The seq of the stored message, or one of the two constants below. */
export type PackedOutcome = number

const DUPLICATE = 0

const UNKNOWN_QUEUE = -1

/** How many values one message has: queue, id, function, group, data, trace context. */
const VALUES = 6

export function packMessages(messages: readonly NewMessage[]): PackedMessages {
  const packed: (string | undefined)[] = []
  for (const { queue, id, functionId, group, data, traceparent } of messages) {
    packed.push(queue, id, functionId, group, data, traceparent)
  }
  return packed
}

export function unpackMessages(packed: PackedMessages): NewMessage[] {
  const messages: NewMessage[] = []
  for (let at = 0; at < packed.length; at += VALUES) {
    messages.push({
      queue: packed[at] as string,
      id: packed[at + 1] as string,
      functionId: packed[at + 2] as string,
      group: packed[at + 3],
      data: packed[at + 4] as string,
      traceparent: packed[at + 5],
    })
  }
  return messages
}

export function packOutcome(result: EnqueueOutcome): PackedOutcome {
  if (result.outcome === 'accepted') return result.seq
  return result.outcome === 'duplicate' ? DUPLICATE : UNKNOWN_QUEUE
}

export function unpackOutcome(packed: PackedOutcome): EnqueueOutcome {
  if (packed === DUPLICATE) return { outcome: 'duplicate' }
  return packed === UNKNOWN_QUEUE ? { outcome: 'unknown-queue' } : { outcome: 'accepted', seq: packed }
}
