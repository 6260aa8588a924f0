import { z } from 'zod'
import { CqrsError } from '../kernel/errors.ts'
import type { Action } from './action-store.ts'
import type { Operation, Operator } from './operation.ts'
import { RECORDED } from './recorded.ts'
import { number, parseRequest } from './request.ts'
import type { System } from './system.ts'

/** Longest input or result that is kept whole, in characters of JSON; a longer one is cut. */
const KEPT = 8_192

/** What `ops::actions` answers. */
export interface ActionsPage {
  /** Newest first. */
  readonly actions: readonly Action[]
  /** Pass it as `before` to get the next page; null at the end. */
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

/** Whether a call of an operation may change something. The dry run of a change does not. */
export function mayChange(
  { scope, isDryRun }: Pick<Operation, 'scope' | 'isDryRun'>,
  input: unknown,
): boolean {
  return scope === 'change' && !isDryRun?.(input)
}

/** Performs an operation. One that may change something is {@link recorded}. */
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
 * Does something and records it, before it begins and after it has ended. If the beginning cannot be recorded,
 * nothing is done. After a crash in between, the record shows an action that never ended. It shows the same if the
 * end cannot be stored, e.g. because the disk became full: the action has succeeded or failed all the same, and the
 * caller learns how.
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
      // The record keeps showing it as begun.
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
