import { CqrsError } from '../kernel/errors.ts'

/** The longest data of one message, in characters of JSON. */
const MAX_LENGTH = 1_048_576

/**
 * The data of a message as JSON text.
 *
 * @throws CqrsError CQRS_QUEUE_INVALID if it cannot be JSON (nested too deep), or is longer than `limit` characters
 */
export function encodeData(data: unknown, limit = MAX_LENGTH): string {
  let text: string
  try {
    text = JSON.stringify(data ?? null)
  } catch (cause) {
    throw new CqrsError('CQRS_QUEUE_INVALID', 'The data of the message cannot be written as JSON.', { cause })
  }
  if (text.length <= limit) return text
  const message =
    `The data of the message has ${text.length} characters of JSON; at most ${limit} are allowed ` +
    '(queue.maxDataLength, CQRS_QUEUE_MAX_DATA_LENGTH). Raise the limit, or send a reference instead.'
  throw new CqrsError('CQRS_QUEUE_INVALID', message)
}
