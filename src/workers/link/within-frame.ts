import { CqrsError } from '../../kernel/errors.ts'
import { FRAME_ROOM, oversizeOf } from '../../kernel/json-size.ts'
import { failed, type HttpResponse, isHttpRequest } from './http.ts'
import { toRemote } from './remote-error.ts'

type Handle = (payload: unknown, metadata?: unknown) => Promise<unknown>

/**
 * The same function, except that an answer that the engine would not take becomes an error, for its caller alone.
 * Otherwise the engine would cut the link of this process, and with it the calls of everybody else that are under way.
 *
 * @param room the most bytes of JSON that an answer may have
 */
export function withinFrame(functionId: string, handle: Handle, room: number = FRAME_ROOM): Handle {
  return async (payload, metadata) => {
    const answer = await handle(payload, metadata)
    const bytes = oversizeOf(answer, room)
    if (bytes === undefined) return answer
    const error = new CqrsError(
      'CQRS_TOO_LARGE',
      `${functionId} answers with ${bytes} bytes of JSON; the engine accepts at most ${room}. Ask for less at a time.`,
      { details: { bytes, limit: room } },
    )
    if (!isHttpRequest(payload)) throw toRemote(error)
    const response = failed(error)
    return { ...response, headers: { ...(answer as HttpResponse).headers, ...response.headers } }
  }
}
