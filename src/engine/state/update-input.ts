import type { Path, UpdateOp } from './update-ops.ts'

/** Reads the steps of a `state::update`, or says what is wrong with the first invalid one. */
export function readUpdateOps(
  ops: readonly unknown[],
): { readonly ok: true; readonly value: UpdateOp[] } | { readonly ok: false; readonly problem: string } {
  const value: UpdateOp[] = []
  for (const [index, candidate] of ops.entries()) {
    const op = readOp(candidate)
    if (typeof op === 'string') return { ok: false, problem: `step ${index} ${op}` }
    value.push(op)
  }
  return { ok: true, value }
}

function readOp(candidate: unknown): UpdateOp | string {
  if (typeof candidate !== 'object' || candidate === null) return 'must be an object'
  const op = candidate as Readonly<Record<string, unknown>>
  switch (op.type) {
    case 'set':
      return typeof op.path === 'string' ? { type: 'set', path: op.path, value: op.value } : PATH_PROBLEM
    case 'remove':
      return typeof op.path === 'string' ? { type: 'remove', path: op.path } : PATH_PROBLEM
    case 'increment':
    case 'decrement':
      if (typeof op.path !== 'string') return PATH_PROBLEM
      if (!Number.isSafeInteger(op.by)) return 'must have an integer in by'
      return { type: op.type, path: op.path, by: op.by as number }
    case 'merge':
    case 'append':
      if (!isPath(op.path)) return 'must have a string or a list of strings as path, or none'
      if (op.value === undefined) return 'must have a value'
      return { type: op.type, value: op.value, ...(op.path !== undefined && { path: op.path }) }
    default:
      return 'must have one of these types: set, merge, increment, decrement, append, remove'
  }
}

const PATH_PROBLEM = 'must have a string as path'

function isPath(path: unknown): path is Path | undefined {
  if (path == null || typeof path === 'string') return true
  return Array.isArray(path) && path.every((segment) => typeof segment === 'string')
}
