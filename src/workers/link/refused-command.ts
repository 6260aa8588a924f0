import { z } from 'zod'
import type { CommandOutcome } from '../../command/execute.ts'
import { ERRORS, isCqrsError } from '../../kernel/errors.ts'
import { describeIssues } from '../../kernel/input.ts'
import { fromRemote } from './remote-error.ts'

/** How the ids of functions that carry out commands begin. */
export const COMMAND = 'cmd::'

/**
 * Whether a function carries out a command. It takes its idempotency key from the metadata of a call, and answers that
 * it refused a command instead of failing.
 */
export function isCommand(functionId: string): boolean {
  return functionId.startsWith(COMMAND)
}

type Refusal = Exclude<CommandOutcome, { kind: 'accepted' }>

/** For each way in which a command can refuse: what is read of its answer, and what it says. */
const REASONS: { readonly [Kind in Refusal['kind']]: z.ZodType<string> } = {
  rejected: z
    .object({ rejection: z.object({ code: z.string(), message: z.string() }) })
    .transform(({ rejection: { code, message } }) => `${code}: ${message}`),
  invalid: z
    .object({ issues: z.array(z.object({ field: z.string(), problem: z.string() })) })
    .transform(({ issues }) => `its input is not valid: ${describeIssues(issues)}`),
  'key-reused': z.unknown().transform(() => 'its idempotency key was used for another command or input.'),
  conflict: z
    .object({ attempts: z.number() })
    .transform(({ attempts }) => `other commands kept changing the same stream (${attempts} attempts).`),
}

const refusal = z.object({ kind: z.enum(Object.keys(REASONS) as Refusal['kind'][]) })

/** How a command answers, whatever went wrong, if its payload is an HTTP request that somebody passed on as it came. */
const httpFailure = z.object({
  status_code: z.number().min(400),
  body: z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
})

/** A command was called, and refused. Who called it for somebody else must not take that for done. */
export class RefusedCommand extends Error {}

/**
 * Checks what a function answered; functions other than commands may answer anything.
 *
 * @throws RefusedCommand if it is a command that was not accepted; CqrsError if it is one that {@link cannotNow} be stored,
 *   and answered that over HTTP
 */
export function assertAccepted(functionId: string, answer: unknown): void {
  if (!isCommand(functionId)) return
  const failure = httpFailure.safeParse(answer).data
  const { code, message } = failure?.body.error ?? {}
  if (failure?.status_code === 503) throw fromRemote(new RefusedCommand(`${code}: ${message}`))
  const reason = failure ? `${code}: ${message}` : reasonOf(answer)
  if (reason) throw new RefusedCommand(`The command ${functionId} was not accepted: ${reason}`)
}

/**
 * Whether a function is a command that failed for a reason that passes without anybody changing the command: the disk is
 * full, too much waits, its worker stops. It was not refused, and it has to wait until commands are stored again.
 */
export function cannotNow(functionId: string, error: unknown): boolean {
  if (!isCommand(functionId)) return false
  const failure = fromRemote(error)
  return isCqrsError(failure) && ERRORS[failure.code].retry
}

/** Undefined if the answer is no refusal. */
function reasonOf(answer: unknown): string | undefined {
  const kind = refusal.safeParse(answer).data?.kind
  return kind && REASONS[kind].safeParse(answer).data
}
