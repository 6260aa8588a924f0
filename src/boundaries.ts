import { type Channel, channel } from 'node:diagnostics_channel'

/**
 * The places on an event's path at which a process can die, each with what is true there. "Stored" means that the
 * transaction was committed, "written" that it was not committed yet.
 *
 * They are diagnostics channels named `iii-durable-cqrs:<boundary>`. In production nobody listens, so passing a
 * boundary costs one check of a flag. Tests listen, and kill or stop the process exactly there.
 */
export const BOUNDARIES = {
  'append-written': 'The events and the idempotency key are written in the open transaction of the log.',
  'append-stored': 'The log holds the events; the process that appended them does not know it yet.',
  'append-answered': 'The commands worker knows that the events are stored; nobody else has been told.',
  'command-answered': 'The answer to the command has been sent.',
  'enqueue-sent': 'The commands worker has sent the message for a projection.',
  'enqueue-answered': 'The commands worker has received the receipt for the message.',

  'message-written': 'The message is written in the open transaction of the queue.',
  'message-stored': 'The queue holds the message; nobody has been told.',
  'receipt-sent': 'The queue worker has sent the receipt for the message.',
  'delivery-started': 'The function of a message has been called and has not answered yet.',
  'delivery-answered': 'The function of a message has answered; nothing about its answer is stored yet.',
  'message-removed': 'The message is removed from the queue, because its function succeeded.',
  'failure-stored': 'The queue has stored that a delivery failed, and when the next one is due.',
  'dead-letter-moved': 'The message has become a dead letter of the queue.',
  'dead-letter-redriven': 'A dead letter is back in the queue as a message.',
  'dead-letter-discarded': 'A dead letter is deleted, because an operator discarded it.',

  'batch-read': 'The next events have been read from the log.',
  'trial-begun': 'The view has recorded which events are about to be handed to handlers.',
  'batch-folded': 'The handlers have run; nothing that they returned is stored yet.',
  'view-written': 'Documents, parked events and checkpoint are written in the open transaction of the view.',
  'batch-stored': 'The view holds the result of a batch of events, and its checkpoint is past them.',
  'advance-answered':
    'The caller that asked for a position, usually the queue, is told that the view has reached it.',
  'event-parked':
    'The view has parked the events of a batch that failed, and those that wait for one that did.',
  'retry-failed': 'The view has recorded one more failed attempt at a parked event.',
  'letter-dead': 'A parked event has failed too often, and the view has marked it as dead.',
  'retry-stored': 'A parked event has been applied, and the next one of its sequence is due.',
  'letter-redriven': 'A parked event is due again, because an operator redrove it.',
  'letter-discarded': 'A parked event is discarded, and the view has recorded by whom and why.',

  'effect-recorded': 'The view holds an effect together with the event that caused it.',
  'effect-sent': 'An effect has been accepted, and is still recorded.',
  'effect-forgotten': 'An effect that has been accepted is no longer recorded.',
  'effect-dead': 'An effect has failed too often, and the view has marked it as dead.',
  'effect-redriven': 'A dead effect is to be sent again.',
  'effect-discarded': 'A dead effect is discarded, and the view has recorded by whom and why.',

  'generation-ready':
    'All parts of a new generation lead the active one; it is not compared and not swapped in yet.',
  'generation-swapped':
    'Readers use the new generation; it has not taken over the effects of the one before.',
  'takeover-step':
    'The view of the active generation holds a part of what the one before owed; the part does not count yet.',
  'effects-taken-over':
    'The view of the active generation holds all that the one before owed; nobody has been told.',
  'takeover-noted': 'The control store says that the effects are taken over; none of them has been sent.',
} as const

/** The name of a place at which a process can end. */
export type Boundary = keyof typeof BOUNDARIES

/** What a listener gets. */
export interface Reached {
  readonly boundary: Boundary
  /** The projection or queue that it is about, where there are several. */
  readonly of: string | undefined
}

/** The name of a boundary's diagnostics channel. */
export function boundaryChannel(boundary: Boundary): string {
  return `iii-durable-cqrs:${boundary}`
}

// Referenced here for the life of the process: Node drops a channel that nobody references, together with its
// listeners.
const channels = Object.fromEntries(
  Object.keys(BOUNDARIES).map((name) => [name, channel(boundaryChannel(name as Boundary))]),
) as Record<Boundary, Channel>

/** Reports that this process is at a boundary. @param of the projection or queue that it is about */
export function reached(boundary: Boundary, of?: string): void {
  const { [boundary]: listeners } = channels
  if (listeners.hasSubscribers) listeners.publish({ boundary, of } satisfies Reached)
}

/** Calls {@link reached} once everything that this turn of the event loop sends has left the process. */
export function reachedNextTurn(boundary: Boundary, of?: string): void {
  if (channels[boundary].hasSubscribers) setImmediate(() => reached(boundary, of))
}
