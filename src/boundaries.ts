import { type Channel, channel } from 'node:diagnostics_channel'

/**
 * The places on an event's path at which a process can die, each with what is true there. "Stored" means that the
 * transaction was committed, "written" that it was not committed yet.
 *
 * They are diagnostics channels named `iii-durable-cqrs:<boundary>`. In production nobody listens, so passing a
 * boundary costs one check of a flag. Tests listen, and kill or stop the process exactly there.
 */
export const BOUNDARIES = {
  'append-written': 'Events and key are written in the open transaction of the log.',
  'append-stored': 'The log holds the events; its own process does not know yet.',
  'append-answered': 'The commands worker knows that the events are stored; nobody else was told.',
  'command-answered': 'The answer of the command has left.',
  'enqueue-sent': 'The message for a projection has left the commands worker.',
  'enqueue-answered': 'The commands worker has the receipt of the message.',

  'message-written': 'The message is written in the open transaction of the queue.',
  'message-stored': 'The queue holds the message; nobody was told.',
  'receipt-sent': 'The receipt of the message has left the queue worker.',
  'delivery-started': 'The function of a message was called; its answer is open.',
  'delivery-answered': 'The function of a message has answered, and nothing is stored about it.',
  'message-removed': 'The message is gone from the queue, because its function has succeeded.',
  'failure-stored': 'The queue holds a failed delivery and when the next one is due.',
  'dead-letter-moved': 'The message is a dead letter of the queue.',
  'dead-letter-redriven': 'A dead letter is a message again.',
  'dead-letter-discarded': 'A dead letter is gone, because an operator gave it up.',

  'batch-read': 'The next events were read from the log.',
  'trial-begun': 'What is about to be handed to handlers is noted in the view.',
  'batch-folded': 'The handlers have run; nothing of what they made is stored.',
  'view-written': 'Documents, parked events and checkpoint are written in the open transaction of the view.',
  'batch-stored': 'The view holds a batch of events, with the checkpoint behind them.',
  'advance-answered': 'Whoever asked for a position, as a rule the queue, was told that the view is there.',
  'event-parked': 'The view holds the events of a batch that failed or wait behind one that did.',
  'retry-failed': 'The view holds one more failed attempt at a parked event.',
  'letter-dead': 'A parked event has failed too often, and the view says so.',
  'retry-stored': 'A parked event is applied, and the next one of its sequence is due.',
  'letter-redriven': 'A parked event is due again, because an operator wants it so.',
  'letter-discarded': 'A parked event is given up, and the view holds by whom and why.',

  'effect-recorded': 'The view holds an effect together with the event that caused it.',
  'effect-sent': 'An effect was taken, and is still recorded.',
  'effect-forgotten': 'An effect that was taken is no longer recorded.',
  'effect-dead': 'An effect has failed too often, and the view says so.',
  'effect-redriven': 'A dead effect is to be sent again.',
  'effect-discarded': 'A dead effect is given up, and the view holds by whom and why.',

  'generation-ready': 'A generation leads everywhere; it is not compared and not swapped in.',
  'generation-swapped': 'Readers find another generation; the effects are still those of the one before.',
  'takeover-step':
    'The view of the generation that serves holds a part of what the one before owed, which counts for nothing yet.',
  'effects-taken-over':
    'The view of the generation that serves holds what the one before owed; nobody was told.',
  'takeover-noted': 'The control store says that the effects are taken over; nothing of them is sent.',
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
