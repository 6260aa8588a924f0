import { CqrsError } from '../kernel/errors.ts'
import { FRAME_ROOM, oversizeOf } from '../kernel/json-size.ts'
import { failed, type HttpResponse, isHttpRequest } from './http.ts'
import { toRemote } from './remote-error.ts'

type Handle = (payload: unknown, metadata?: unknown) => Promise<unknown>

/**
 * The same function, but an answer that the engine would not take is an error, for its caller alone. The engine would cut the link
 * of this process, with the calls of everybody else that are under way in it.
 *
 * @param room for an answer, in bytes of JSON
 */
export function withinFrame(functionId: string, handle: Handle, room: number = FRAME_ROOM): Handle {
  return async (payload, metadata) => {
    const answer = await handle(payload, metadata)
    const bytes = oversizeOf(answer, room)
    if (bytes === undefined) return answer
    const error = new CqrsError(
      'CQRS_TOO_LARGE',
      `${functionId} answers with ${bytes} bytes of JSON; the engine takes ${room}. Ask for less at once.`,
      { details: { bytes, limit: room } },
    )
    if (!isHttpRequest(payload)) throw toRemote(error)
    const response = failed(error)
    return { ...response, headers: { ...(answer as HttpResponse).headers, ...response.headers } }
  }
}
