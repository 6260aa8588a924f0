import { CqrsError } from '../kernel/errors.ts'
import { FRAME_ROOM, oversizeOf } from '../kernel/json-size.ts'
import type { Effect } from '../kernel/projection.ts'

/**
 * The engine would cut the link of the process that sends a larger one, again and again, with all effects behind it waiting.
 *
 * @param room for an effect, in bytes of JSON
 * @throws CqrsError CQRS_TOO_LARGE
 */
export function assertFitsFrame(effect: Effect, room: number = FRAME_ROOM): void {
  const bytes = oversizeOf(effect, room)
  if (bytes === undefined) return
  throw new CqrsError(
    'CQRS_TOO_LARGE',
    `An effect has ${bytes} bytes of JSON; the engine takes ${room}. Send what its taker can ask for more with.`,
    { details: { bytes, limit: room } },
  )
}
