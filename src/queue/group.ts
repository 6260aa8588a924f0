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
      `Queue "${queue}" is fifo: its messages need the field "${field}" to name their group, ${why}.`,
      { details: { queue, field } },
    )
  }
  if (field === undefined || typeof data !== 'object' || data === null || !Object.hasOwn(data, field)) {
    return refuse('but this one has no such field')
  }
  const value: unknown = Reflect.get(data, field)
  if (value === null || value === undefined) return refuse('but here it is null')
  const group = JSON.stringify(value)
  if (group.length > MAX_GROUP) return refuse(`of at most ${MAX_GROUP} characters; here it is longer`)
  return group
}

/** What decides in which order messages of a queue may be delivered. */
export function orderOf({ settings }: QueueDefinition): string {
  return settings.type === 'standard' ? 'standard' : `fifo ${settings.message_group_field}`
}
