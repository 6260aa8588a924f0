import type { Logger } from 'pino'
import { letterId } from '../../operator/letters/letter-id.ts'
import type { ParkedEvent } from '../../projection/contract.ts'

/** How many parked events of a view are logged per minute. A wrong handler can park every event of the log. */
export const PARKED_LINES_PER_MINUTE = 10

const MINUTE_MS = 60_000

/**
 * Logs the events that a view could not apply: a warning when an event fails for the first time, and an error when it
 * is dead. Events that wait behind another one are not logged. After {@link PARKED_LINES_PER_MINUTE} lines in a minute,
 * one more line says that the others are left out.
 *
 * @param unit the projection, or the partition of one, as it is part of a letter's id
 * @param now a monotonic clock, in milliseconds
 * @returns a function to call with the parked events of each commit, after the commit is stored
 */
export function parkedLines(
  unit: string,
  log: Pick<Logger, 'warn' | 'error'>,
  now: () => number,
): (parked: readonly ParkedEvent[]) => void {
  let endsAt = Number.NEGATIVE_INFINITY
  let lines = 0
  return (parked) => {
    for (const { position, sequence, type, status, attempts, failures } of parked) {
      const isFirst = status === 'retrying' && attempts === 1
      if (!isFirst && status !== 'dead') continue
      if (now() >= endsAt) {
        endsAt = now() + MINUTE_MS
        lines = 0
      }
      lines += 1
      if (lines > PARKED_LINES_PER_MINUTE + 1) return
      if (lines > PARKED_LINES_PER_MINUTE) {
        log.warn('Further parked events are not logged for up to a minute; "cqrs dlq list" shows all of them')
        return
      }
      const letter = letterId({ source: 'parked', name: unit, key: String(position) })
      const about = { letter, type, sequence, attempts, error: failures.at(-1)?.message }
      if (isFirst) log.warn(about, 'An event could not be applied; it is parked and tried again')
      else
        log.error(about, `An event is dead and holds back its sequence; "cqrs dlq show ${letter}" shows it`)
    }
  }
}
