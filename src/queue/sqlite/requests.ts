import type { FailureRecord } from '../contract.ts'
import type { PackedMessages, PackedOutcome } from './packed-messages.ts'

/** A request to the writer thread: messages to store, all or none, or another operation. */
export type QueueRequest = PackedMessages | QueueOperation

export type QueueOperation =
  | { do: 'define'; queue: string; definition: string }
  | { do: 'pause'; queue: string; paused: boolean }
  | { do: 'queues'; only: readonly string[] | undefined }
  | { do: 'counts'; queue: string }
  | { do: 'acknowledge'; queue: string; seqs: number[] }
  | { do: 'fail'; queue: string; record: FailureRecord; dueAt: number }
  | { do: 'bury'; queue: string; record: FailureRecord }
  | { do: 'read'; queue: string; after: number; limit: number; maxBytes: number }
  | { do: 'load'; queue: string; seqs: number[]; maxBytes: number }
  | { do: 'dead-letters'; queue: string; offset: number; limit: number; after: number; maxLength: number }
  | { do: 'find-dead-letter'; queue: string; id: string }
  | { do: 'redrive'; queue: string; limit: number }
  | { do: 'redrive-message'; queue: string; id: string }
  | { do: 'discard'; queue: string; id: string }
  | { do: 'purge'; queue: string; through: number; limit: number }
  | { do: 'remove'; queue: string; limit: number }

/** What the writer thread answers; its type depends on the request. */
export type QueueReply = PackedOutcome | PackedOutcome[] | object | boolean | number | undefined

/** What the writer thread is started with. */
export interface QueueThreadOptions {
  path: string
  rememberedReceipts: number
}
