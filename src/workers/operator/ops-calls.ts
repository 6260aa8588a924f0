import type { IIIClient } from 'iii-sdk'
import { CqrsError } from '../../kernel/errors.ts'
import type { System } from '../../operator/system.ts'
import { fromRemote } from '../link/remote-error.ts'

/** How long another worker may take to do what an operator asks for, in milliseconds. */
export const CALL_TIMEOUT_MS = 10_000

/** Settings of {@link caller}. */
export interface CallerOptions {
  /** How long the other worker may take, in milliseconds. */
  readonly timeoutMs: number
  /** Whether the calls change something, so that one without an answer may still have been carried out. */
  readonly changes: boolean
}

/**
 * Calls functions of other workers. Only functions whose names begin with `ops::`, the operator's own surface, get the
 * token. A call fails with CQRS_ENGINE_UNREACHABLE if nobody has the function, or if no answer comes in time.
 */
export function caller(
  iii: Pick<IIIClient, 'trigger'>,
  credentials: { readonly token: string },
  { timeoutMs, changes }: CallerOptions,
): System['call'] {
  const unknownEnd = changes ? ' What you asked for may have been done, or may still be done later.' : ''
  return async (function_id, payload) => {
    const metadata = function_id.startsWith('ops::') ? { metadata: credentials } : {}
    try {
      return await iii.trigger({ function_id, payload, ...metadata, timeoutMs })
    } catch (error) {
      const { code } = error as { code?: unknown }
      if (code === 'TIMEOUT') throw unreachable(notInTime(function_id, timeoutMs) + unknownEnd, error)
      if (code === 'invocation_stopped') throw unreachable(endedMeanwhile(function_id) + unknownEnd, error)
      if (code === 'function_not_found') throw unreachable(nobodyHas(function_id), error)
      throw fromRemote(error)
    }
  }
}

function unreachable(message: string, cause: unknown): CqrsError {
  return new CqrsError('CQRS_ENGINE_UNREACHABLE', message, { cause })
}

function nobodyHas(functionId: string): string {
  const role = /^ops::(parked|effects)::/.test(functionId) ? 'projections' : 'queue'
  return `No worker offers ${functionId}; start one with "cqrs worker ${role}".`
}

function endedMeanwhile(functionId: string): string {
  return `The worker of ${functionId} ended before it had answered; try again.`
}

function notInTime(functionId: string, timeoutMs: number): string {
  return (
    `${functionId} did not answer within ${timeoutMs} ms: its worker hangs or is busy; see "cqrs workers" and its log. ` +
    'Try again.'
  )
}
