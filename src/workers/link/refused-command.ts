import { z } from 'zod'
import { describeIssues } from '../../kernel/input.ts'

/** How the ids of functions that carry out commands begin. */
const COMMAND = 'cmd::'

/**
 * Whether a function carries out a command. It takes its idempotency key from the metadata of a call, and answers that
 * it refused a command instead of failing.
 */
export function isCommand(functionId: string): boolean {
  return functionId.startsWith(COMMAND)
}

/** The outcomes of a command that stored nothing; see `CommandOutcome` in src/command/execute.ts. */
const refusal = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rejected'), rejection: z.object({ code: z.string(), message: z.string() }) }),
  z.object({
    kind: z.literal('invalid'),
    issues: z.array(z.object({ field: z.string(), problem: z.string() })),
  }),
  z.object({ kind: z.literal('key-reused') }),
  z.object({ kind: z.literal('conflict'), attempts: z.number() }),
])

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
 * @throws RefusedCommand if it is a command that was not accepted
 */
export function assertAccepted(functionId: string, answer: unknown): void {
  if (!isCommand(functionId)) return
  const reason = reasonOf(refusal.or(httpFailure).safeParse(answer).data)
  if (reason) throw new RefusedCommand(`The command ${functionId} was not accepted: ${reason}`)
}

function reasonOf(refused: z.output<typeof refusal | typeof httpFailure> | undefined): string | undefined {
  if (!refused) return undefined
  if ('body' in refused) return `${refused.body.error.code}: ${refused.body.error.message}`
  switch (refused.kind) {
    case 'rejected':
      return `${refused.rejection.code}: ${refused.rejection.message}`
    case 'invalid':
      return `its input is not valid: ${describeIssues(refused.issues)}`
    case 'key-reused':
      return 'its idempotency key was used for another command or input.'
    case 'conflict':
      return `other commands kept changing the same stream (${refused.attempts} attempts).`
  }
}
