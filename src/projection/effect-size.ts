import { CqrsError } from '../kernel/errors.ts'
import { FRAME_ROOM, oversizeOf } from '../kernel/json-size.ts'
import type { Effect } from '../kernel/projection.ts'

/**
 * Refuses an effect that is too large to be sent. The engine would cut the link of the process that sends it, again and
 * again, while all effects behind it wait.
 *
 * @throws CqrsError CQRS_TOO_LARGE
 */
export function assertFitsFrame(effect: Effect): void {
  const bytes = oversizeOf(effect, FRAME_ROOM)
  if (bytes === undefined) return
  throw new CqrsError(
    'CQRS_TOO_LARGE',
    `An effect has ${bytes} bytes of JSON; the engine accepts at most ${FRAME_ROOM}. Send a reference with which the receiver can ask for the rest.`,
    { details: { bytes, limit: FRAME_ROOM } },
  )
}
