import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { Operation, Operator } from './operations.ts'
import { RECORDED } from './recorded.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

/** Characters of an input or a result that are kept. */
const KEPT = 8_192

/** Something that an operator did, or tried to. */
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
  /** ISO 8601; null: it runs, or the process ended before it did, or its end could not be stored. */
  readonly endedAt: string | null
  readonly outcome: 'begun' | 'done' | 'failed'
  /** What it answered, or the message of its error. */
  readonly result: unknown
}

/**
 * Where the actions of operators are kept; several processes may write to it. Both writes are on stable storage when they
 * are answered.
 *
 * Every method rejects with a CqrsError (CQRS_STORE_…) if the store fails.
 */
export interface ActionStore {
  /** Notes that an action begins. @returns its id */
  begin(action: Pick<Action, 'operation' | 'input' | 'by' | 'from' | 'begunAt'>): Promise<number>
  end(id: number, end: Pick<Action, 'outcome' | 'result'> & { endedAt: string }): Promise<void>
  /** Newest first, below an id. */
  list(options: { before: number; limit: number; operation?: string | undefined }): Promise<Action[]>
  close(): Promise<void>
}

/** What `ops::actions` answers. */
export interface ActionsPage {
  /** Newest first. */
  readonly actions: readonly Action[]
  /** Give it as `before` for the next page; null at the end. */
  readonly next: number | null
}

const request = z.strictObject({
  before: number(1, Number.MAX_SAFE_INTEGER).default(Number.MAX_SAFE_INTEGER),
  limit: number(1, 500).default(50),
  operation: z
    .enum(RECORDED, { error: `only changes are recorded; give one of ${RECORDED.join(', ')}` })
    .optional(),
})

/** What operators did, newest first. */
export async function listActions({ actions }: System, input: unknown): Promise<ActionsPage> {
  const { before, limit, operation } = parseRequest(request, input ?? {})
  const found = await actions.list({ before, limit: limit + 1, operation })
  const page = found.slice(0, limit)
  return { actions: page, next: found.length > limit ? (page.at(-1)?.id ?? null) : null }
}

/** Whether a call of an operation may change something: a dry run of one that does may not. */
export function mayChange(
  { scope, isDryRun }: Pick<Operation, 'scope' | 'isDryRun'>,
  input: unknown,
): boolean {
  return scope === 'change' && !isDryRun?.(input)
}

/** Does an operation; what may change something is {@link recorded}. */
export async function perform(
  system: System,
  operation: Operation,
  input: unknown,
  operator: Operator,
): Promise<unknown> {
  const act = () => operation.run(system, input, operator)
  if (!mayChange(operation, input)) return act()
  return recorded(system, { operation: operation.id, input, ...operator }, act)
}

/**
 * Does something that is recorded before it begins and when it has ended: what was not recorded is not done, and
 * a crash in between shows as an action that never ended. So does an end that cannot be stored, e.g. because the disk
 * became full: the action has taken place, or failed, all the same, and the caller is told how.
 */
export async function recorded<Result>(
  { actions, now }: Pick<System, 'actions' | 'now'>,
  action: Pick<Action, 'operation' | 'input' | 'by' | 'from'>,
  act: () => Promise<Result>,
): Promise<Result> {
  const time = () => now().toISOString()
  const id = await actions.begin({ ...action, input: kept(action.input), begunAt: time() })
  const ended = async (outcome: 'done' | 'failed', result: unknown) => {
    try {
      await actions.end(id, { outcome, result: kept(result), endedAt: time() })
    } catch {
      // It stays as begun.
    }
  }
  try {
    const result = await act()
    await ended('done', result)
    return result
  } catch (error) {
    await ended('failed', error instanceof CqrsError ? `${error.code}: ${error.message}` : String(error))
    throw error
  }
}

function kept(value: unknown): unknown {
  const text = JSON.stringify(value ?? null)
  return text.length <= KEPT ? value : `${text.slice(0, KEPT)}… (${text.length} characters)`
}
