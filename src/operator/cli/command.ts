import { randomUUID } from 'node:crypto'
import { Command } from 'commander'
import { z } from 'zod'
import { CqrsError, isCqrsError } from '../../kernel/errors.ts'
import { assertAccepted, COMMAND } from '../../workers/link/refused-command.ts'
import { fromRemote } from '../../workers/link/remote-error.ts'
import type { CliContext } from './context.ts'
import { OperationFailed, withEngine } from './operations.ts'
import { count } from './table.ts'

const accepted = z.object({
  kind: z.literal('accepted'),
  position: z.number(),
  version: z.number(),
  events: z.number(),
  replayed: z.boolean(),
})

/** `cqrs command`. */
export function commandCommand(context: CliContext): Command {
  return new Command('command')
    .description('Send a command of the app, also one that has no route.')
    .argument('<name>', 'the name of the command')
    .argument('[input]', 'its input, as JSON', '{}')
    .option('--key <key>', 'its idempotency key; sent again with the same key, it is carried out once')
    .option('--json', 'print the outcome as JSON')
    .addHelpText(
      'after',
      `
Exit code 1: the command was refused, and nothing was stored. Without --key it gets a key of its own, which is shown if no answer
comes: send it again with that key. To do by hand what a dead effect should have done, give it the effect's key, then discard
the letter.

Examples:
  cqrs command restock-item '{"sku":"mug-1","quantity":10}'
  cqrs command release-stock '{"order":"o-1","sku":"mug-1","quantity":2}' --key order-saga:17:1`,
    )
    .action(async (name: string, input: string, { key, json }: { key?: string; json?: boolean }) => {
      const payload = parseInput(input)
      const function_id = COMMAND + name
      const idempotencyKey = key ?? `cqrs-command-${randomUUID()}`
      const actor = context.process.env.USER || 'operator'
      const outcome = await withEngine(context, (trigger) =>
        trigger({ function_id, payload, metadata: { idempotencyKey, actor } }).catch((error: unknown) => {
          throw whyUnanswered(error, name, idempotencyKey)
        }),
      )
      if (json) context.print(JSON.stringify(outcome, null, 2))
      try {
        assertAccepted(function_id, outcome)
      } catch (error) {
        throw new OperationFailed((error as Error).message, { cause: error })
      }
      const { position, version, events, replayed } = accepted.parse(outcome)
      if (json) return
      const again = replayed ? ', as before: the key was known' : ''
      context.print(
        `accepted: ${count(events)} ${events === 1 ? 'event' : 'events'}, position ${count(position)}, version ${count(version)} of the stream${again}`,
      )
    })
}

/** @throws CqrsError CQRS_VALIDATION if the text is not a JSON object */
function parseInput(text: string): unknown {
  let input: unknown
  try {
    input = JSON.parse(text)
  } catch (error) {
    throw new CqrsError('CQRS_VALIDATION', `The input is not JSON: ${(error as Error).message}.`, {
      cause: error,
    })
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input
  throw new CqrsError('CQRS_VALIDATION', 'The input has to be a JSON object, such as {"sku":"mug-1"}.')
}

function whyUnanswered(error: unknown, name: string, key: string): unknown {
  const { code, message } = error as { code?: string; message: string }
  if (code === 'function_not_found') {
    const text = `Nobody takes the command ${name} at the moment: the app has none of this name, or no commands worker is connected. Nothing was stored.`
    return new CqrsError('CQRS_ENGINE_UNREACHABLE', text, { cause: error })
  }
  const failure = fromRemote(error)
  // It may have been stored all the same, and what was not sent under the same key would be carried out twice.
  if (isCqrsError(failure, 'CQRS_STORE_UNAVAILABLE')) {
    const text = `${failure.message} If you send it again, do so with --key ${key}.`
    return new CqrsError('CQRS_STORE_UNAVAILABLE', text, { cause: error })
  }
  const isOpen =
    code === 'invocation_stopped' || code === 'TIMEOUT' || isCqrsError(failure, 'CQRS_ENGINE_UNREACHABLE')
  if (!isOpen) return isCqrsError(failure) ? failure : new OperationFailed(message, { cause: error })
  const text = `${message.replace(/\.$/, '')}. Whether the command was carried out is not known: send it again with --key ${key}.`
  return new CqrsError('CQRS_ENGINE_UNREACHABLE', text, { cause: error })
}
