import { CqrsError } from '../kernel/errors.ts'
import type { QueueDefinition } from './contract.ts'

/** The longest group name, in characters. */
const MAX_GROUP = 1_024

/**
 * The group that a message with this data belongs to: undefined in a standard queue; the one group of a
 * fifo subscription; else the value of the queue's `message_group_field` as JSON (so 1 and "1" are two groups).
 *
 * @throws CqrsError CQRS_QUEUE_INVALID if a fifo message has no usable group
 */
export function groupOf(queue: string, definition: QueueDefinition, data: unknown): string | undefined {
  const { settings, subscription } = definition
  if (settings.type === 'standard') return undefined
  const field = settings.message_group_field
  if (field === undefined && subscription) return ''
  const refuse = (why: string): never => {
    throw new CqrsError(
      'CQRS_QUEUE_INVALID',
      `The queue "${queue}" is fifo, so the field "${field}" of each message has to name its group. ${why}.`,
      { details: { queue, field } },
    )
  }
  if (field === undefined || typeof data !== 'object' || data === null || !Object.hasOwn(data, field)) {
    return refuse('This message has no such field')
  }
  const value: unknown = Reflect.get(data, field)
  if (value === null || value === undefined) return refuse('In this message it is null')
  const group = JSON.stringify(value)
  if (group.length > MAX_GROUP)
    return refuse(`In this message it has more than ${MAX_GROUP} characters of JSON`)
  return group
}

/** Why the order of a queue cannot change while it holds messages. */
export function orderRefused(queue: string, { depth, dead }: { depth: number; dead: number }): CqrsError {
  return new CqrsError(
    'CQRS_QUEUE_INVALID',
    `Queue "${queue}" holds ${depth} messages and ${dead} dead letters: its type and message_group_field can change only ` +
      'while it is empty. Drain it, or define another queue.',
  )
}

/** Whether a queue that gets another definition then delivers its messages in another order. */
export function reorders(from: QueueDefinition | undefined, to: QueueDefinition): boolean {
  return from !== undefined && orderOf(from) !== orderOf(to)
}

/** What decides in which order messages of a queue may be delivered. */
function orderOf({ settings }: QueueDefinition): string {
  return settings.type === 'standard' ? 'standard' : `fifo ${settings.message_group_field}`
}
