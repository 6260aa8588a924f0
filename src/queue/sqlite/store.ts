import { join } from 'node:path'
import { CqrsError } from '../../kernel/errors.ts'
import { GroupCommit } from '../../sqlite/group-commit.ts'
import { type OwnerLock, own } from '../../sqlite/owner-lock.ts'
import { parseStored } from '../../sqlite/row-checksum.ts'
import type {
  DeadLetter,
  EnqueueOutcome,
  FailureRecord,
  MessagePage,
  NewMessage,
  QueueCounts,
  QueueDefinition,
  QueueStore,
  StoredMessage,
  StoredQueue,
} from '../contract.ts'
import { type PackedOutcome, packMessages, unpackOutcome } from './packed-messages.ts'
import type { QueueRow } from './queue-table.ts'
import type { QueueReply, QueueRequest, QueueThreadOptions } from './requests.ts'

export interface SqliteQueueStoreOptions {
  /** The folder in which `queue.db` and `queue.lock` are, or will be created. */
  folder: string
  /**
   * How many of the newest receipts are certain to be remembered, to recognise duplicates. Default 500,000 (16 to 32 MB
   * of memory).
   */
  rememberedReceipts?: number
  /**
   * How many requests may wait for the writer thread before further enqueues are refused with CQRS_OVERLOADED. Default
   * 20,000.
   */
  maxWaiting?: number
  /** Called once if another process owns the store, before waiting for its end. */
  onWaiting?: (pid: number | undefined) => void
  /** Ends the wait; the returned promise rejects with its reason. */
  signal?: AbortSignal
}

/**
 * The queue store on SQLite: one file, one owning process, one writer thread with group commit. Waits as
 * a standby while another process owns the store, and opens it when that process ends.
 *
 * @throws CqrsError if the store cannot be opened
 */
export async function openSqliteQueueStore(options: SqliteQueueStoreOptions): Promise<QueueStore> {
  const lock = await own(join(options.folder, 'queue.lock'), {
    onWaiting: options.onWaiting,
    signal: options.signal,
  })
  const workerData: QueueThreadOptions = {
    path: join(options.folder, 'queue.db'),
    rememberedReceipts: options.rememberedReceipts ?? 500_000,
  }
  const commits = new GroupCommit<QueueRequest, QueueReply>({
    module: new URL('./writer-thread.ts', import.meta.url),
    workerData,
    name: 'queue store',
    // No limit here: only enqueues are refused when too much waits, because acknowledgements make room.
    maxWaiting: Number.POSITIVE_INFINITY,
  })
  try {
    await commits.start()
  } catch (error) {
    lock.release()
    throw error
  }
  return new SqliteQueueStore(commits, lock, options.maxWaiting ?? 20_000)
}

class SqliteQueueStore implements QueueStore {
  readonly #commits: GroupCommit<QueueRequest, QueueReply>
  readonly #lock: OwnerLock
  readonly #maxWaiting: number
  #closing: Promise<void> | undefined

  constructor(commits: GroupCommit<QueueRequest, QueueReply>, lock: OwnerLock, maxWaiting: number) {
    this.#commits = commits
    this.#lock = lock
    this.#maxWaiting = maxWaiting
  }

  async define(queue: string, definition: QueueDefinition): Promise<void> {
    await this.#ask({ do: 'define', queue, definition: JSON.stringify(definition) })
  }

  async setPaused(queue: string, paused: boolean): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'pause', queue, paused })) ?? false
  }

  async queues(only?: readonly string[]): Promise<StoredQueue[]> {
    const rows = await this.#ask<(QueueRow & Pick<StoredQueue, 'oldestAt'>)[]>({ do: 'queues', only })
    return rows.map(({ id: _, definition, ...row }) => {
      const what = `The definition of the queue ${row.name}`
      const parsed = parseStored(definition, what, 'Restore the queue store from a backup.')
      const { settings, subscription } = parsed as QueueDefinition
      return { ...row, settings, subscription }
    })
  }

  counts(queue: string): Promise<QueueCounts | undefined> {
    return this.#ask({ do: 'counts', queue })
  }

  async enqueue(messages: NewMessage[]): Promise<EnqueueOutcome[]> {
    if (this.#commits.pending >= this.#maxWaiting) {
      const message = `${this.#commits.pending} requests are waiting for the queue store; try again shortly.`
      throw new CqrsError('CQRS_OVERLOADED', message)
    }
    const outcomes = await this.#ask<PackedOutcome | PackedOutcome[]>(packMessages(messages))
    return [outcomes].flat().map(unpackOutcome)
  }

  async acknowledge(queue: string, seqs: number[]): Promise<void> {
    await this.#ask({ do: 'acknowledge', queue, seqs })
  }

  async recordFailure(queue: string, record: FailureRecord, dueAt: number): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'fail', queue, record, dueAt })) ?? false
  }

  async deadLetter(queue: string, record: FailureRecord): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'bury', queue, record })) ?? false
  }

  async read(queue: string, after: number, limit: number, maxBytes: number): Promise<MessagePage> {
    const page = await this.#ask<MessagePage | undefined>({ do: 'read', queue, after, limit, maxBytes })
    return page ?? { messages: [], end: after, tail: after }
  }

  async load(queue: string, seqs: number[], maxBytes: number): Promise<StoredMessage[]> {
    return (await this.#ask<StoredMessage[] | undefined>({ do: 'load', queue, seqs, maxBytes })) ?? []
  }

  async deadLetters(
    queue: string,
    offset: number,
    limit: number,
    after = 0,
    maxLength = Number.MAX_SAFE_INTEGER,
  ): Promise<DeadLetter[]> {
    const request = { do: 'dead-letters', queue, offset, limit, after, maxLength } as const
    return (await this.#ask<DeadLetter[] | undefined>(request)) ?? []
  }

  findDeadLetter(queue: string, id: string): Promise<DeadLetter | undefined> {
    return this.#ask({ do: 'find-dead-letter', queue, id })
  }

  async redrive(queue: string, limit: number): Promise<number> {
    return (await this.#ask<number | undefined>({ do: 'redrive', queue, limit })) ?? 0
  }

  async redriveMessage(queue: string, id: string): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'redrive-message', queue, id })) ?? false
  }

  async discard(queue: string, id: string): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'discard', queue, id })) ?? false
  }

  async purge(queue: string, through: number, limit: number): Promise<number> {
    return (await this.#ask<number | undefined>({ do: 'purge', queue, through, limit })) ?? 0
  }

  async remove(queue: string, limit: number): Promise<boolean> {
    return (await this.#ask<boolean | undefined>({ do: 'remove', queue, limit })) ?? true
  }

  close(): Promise<void> {
    this.#closing ??= this.#commits.close().then(() => this.#lock.release())
    return this.#closing
  }

  /** The reply's type follows from the request; see the writer thread. */
  #ask<Answer extends QueueReply>(request: QueueRequest): Promise<Answer> {
    return this.#commits.submit(request) as Promise<Answer>
  }
}
