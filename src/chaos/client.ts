import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { Position } from '../kernel/position.ts'

/** How long one try of a request may take before the request is tried again, in milliseconds. */
const TRY_MS = 3_000

/** Pause between two tries, in milliseconds. */
const PAUSE_MS = 25

/** A command of the inventory, as it is sent over HTTP. */
export interface InventoryCommand {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  /** The same at every try. */
  readonly idempotencyKey: string
}

/** An answer over HTTP. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Headers
  /** The JSON of the answer, whatever it is. */
  readonly body: unknown
}

/** The answer that settled a command, and how many tries before it did not. */
export interface Answered extends HttpAnswer {
  readonly retries: number
}

/** An answer with its times. */
export interface TimedAnswer extends Answered {
  /** When the try that settled it was sent and answered, by `performance.now()`. */
  readonly sentAt: number
  readonly answeredAt: number
}

/** One request. @throws what fetch throws if no answer comes within `timeoutMs` */
export async function request(
  url: string,
  { command, timeoutMs = TRY_MS }: { command?: Omit<InventoryCommand, 'path'>; timeoutMs?: number } = {},
): Promise<HttpAnswer> {
  const response = await fetch(url, {
    signal: AbortSignal.timeout(timeoutMs),
    ...(command && {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': command.idempotencyKey },
      body: JSON.stringify(command.body),
    }),
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

/**
 * Sends a command until it is settled, as a careful client does: always with the same key, and again after a broken
 * connection, a timeout, or an answer that says that the system could not decide.
 *
 * @param signal gives up when aborted
 * @throws Error if that takes longer than `withinMs`; the reason of `signal` when it is aborted
 */
export async function settle(
  http: string,
  command: InventoryCommand,
  withinMs = 40_000,
  signal?: AbortSignal,
): Promise<TimedAnswer> {
  const deadline = performance.now() + withinMs
  for (let retries = 0; ; retries += 1) {
    signal?.throwIfAborted()
    const sentAt = performance.now()
    const answer = await request(http + command.path, { command }).catch((error: Error) => error)
    const answeredAt = performance.now()
    if (!(answer instanceof Error) && isSettled(answer)) return { ...answer, retries, sentAt, answeredAt }
    if (answeredAt > deadline) {
      const last =
        answer instanceof Error ? String(answer) : `${answer.status} ${JSON.stringify(answer.body)}`
      throw new Error(`${command.path} got no final answer within ${withinMs} ms; the last one was: ${last}`)
    }
    await delay(PAUSE_MS)
  }
}

/**
 * Whether an answer settles a command. While the worker of a route is down, a real engine does not know the route: it
 * answers 404 (or 405 if the path has another method) with a code of its own. A command's own 404 and 409 are
 * decisions.
 */
function isSettled({ status, body }: HttpAnswer): boolean {
  if (status >= 500 || status === 405) return false
  const code = errorSchema.safeParse(body).data?.error.code
  return code !== 'NOT_FOUND' && code !== 'CQRS_CONFLICT'
}

const errorSchema = z.object({ error: z.object({ code: z.unknown() }) })

const acceptedSchema = z.object({ position: z.int().positive() })

/**
 * The position in the answer to a command.
 *
 * @throws Error if the command was not accepted, or the answer has no position
 */
export function acceptedAt({ status, body }: HttpAnswer): Position {
  const accepted = acceptedSchema.safeParse(body)
  if (status < 300 && accepted.success) return accepted.data.position
  throw new Error(`A command was answered without a position: ${status} ${JSON.stringify(body)}`)
}
