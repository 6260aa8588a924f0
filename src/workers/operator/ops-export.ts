import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Logger } from 'pino'
import { CqrsError } from '../../kernel/errors.ts'
import { exportEvents } from '../../operator/events.ts'
import type { System } from '../../operator/system.ts'
import { failure, type HttpRequest, isHttpRequest } from '../link/http.ts'
import type { OfferedFunction } from '../link/offer.ts'
import { toRemote } from '../link/remote-error.ts'
import { type OpsAccess, tokenIn } from './ops-access.ts'
import { bearerToken, SECURITY_HEADERS, secured } from './ops-http.ts'

/** The channel into which a function may write its answer to a request piece by piece. */
interface ResponseChannel {
  sendMessage(text: string): void
  readonly stream: Writable
}

/**
 * `GET /ops/events/export`: the log as a file of events. It is sent while it is read, so its length does not matter.
 */
export function exportFunction(system: System, access: OpsAccess, log: Logger): OfferedFunction {
  return {
    id: 'ops::events-export',
    description: 'The log, or a stretch of it, as a file that can be imported; over HTTP only.',
    http: { method: 'GET', path: '/ops/events/export' },
    async handle(payload, metadata) {
      if (!isHttpRequest(payload)) return refuse(access, metadata)
      const request = payload as HttpRequest & { readonly response?: ResponseChannel }
      return secured(async () => {
        access.check(bearerToken(request), 'read')
        const generator = exportEvents(system, request.query_params)
        // The first piece is made before anything is sent, so that an invalid request still gets a status of its own.
        const first = await generator.next()
        const { response } = request
        if (!response)
          return failure(501, {
            code: 'CQRS_NOT_FOUND',
            message: 'This engine offers no channel on which to stream the answer.',
          })
        response.sendMessage(JSON.stringify({ type: 'set_status', status_code: 200 }))
        const headers = { ...SECURITY_HEADERS, 'content-type': 'application/x-ndjson' }
        response.sendMessage(JSON.stringify({ type: 'set_headers', headers }))
        const all = async function* () {
          if (!first.done) yield first.value
          yield* generator
        }
        pipeline(Readable.from(all()), response.stream).catch((err) =>
          log.warn({ err }, 'an export was interrupted'),
        )
        return undefined
      })
    },
  }
}

function refuse(access: OpsAccess, metadata: unknown): never {
  try {
    access.check(tokenIn(metadata), 'read')
    throw new CqrsError(
      'CQRS_VALIDATION',
      'This function answers only HTTP requests; to read the log page by page, call ops::events.',
    )
  } catch (error) {
    throw toRemote(error)
  }
}
