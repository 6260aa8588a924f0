import { z } from 'zod'
import { describeIssues } from '../kernel/input.ts'

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

/** A command was called, and refused. Who called it for somebody else must not take that for done. */
export class RefusedCommand extends Error {}

/**
 * Checks what a function answered; functions other than commands may answer anything.
 *
 * @throws RefusedCommand if it is a command that was not accepted
 */
export function assertAccepted(functionId: string, answer: unknown): void {
  const { data: refused } = isCommand(functionId) ? refusal.safeParse(answer) : {}
  if (refused) throw new RefusedCommand(`The command ${functionId} was not accepted: ${reasonOf(refused)}`)
}

function reasonOf(refused: z.output<typeof refusal>): string {
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
