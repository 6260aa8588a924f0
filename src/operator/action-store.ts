/** Something that an operator did or tried to do. */
export interface Action {
  /** Grows by one with each action. */
  readonly id: number
  /** The operation, e.g. `ops::dlq-discard`. */
  readonly operation: string
  readonly input: unknown
  readonly by: string
  readonly from: string
  /** ISO 8601. */
  readonly begunAt: string
  /** ISO 8601; null if the action is still running, its process ended first, or its end could not be stored. */
  readonly endedAt: string | null
  readonly outcome: 'begun' | 'done' | 'failed'
  /** Its answer, or the message of its error. */
  readonly result: unknown
}

/**
 * The record of operators' actions; several processes may write to it. `begin` and `end` answer once the write is on
 * stable storage.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface ActionStore {
  /** Records that an action begins. @returns its id */
  begin(action: Pick<Action, 'operation' | 'input' | 'by' | 'from' | 'begunAt'>): Promise<number>
  end(id: number, end: Pick<Action, 'outcome' | 'result'> & { endedAt: string }): Promise<void>
  /** Actions with ids below `before`, newest first. */
  list(options: { before: number; limit: number; operation?: string | undefined }): Promise<Action[]>
  close(): Promise<void>
}
