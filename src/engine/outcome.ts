import type { RawJson } from './raw-json.ts'

/** An error as it travels in frames and in HTTP answers. */
export interface ErrorBody {
  readonly code: string
  readonly message: string
  readonly stacktrace?: string
}

/**
 * How a call ended. `result` is undefined if the function returned nothing; `null` from a worker counts as nothing,
 * too.
 */
export type Outcome =
  | { readonly ok: true; readonly result: RawJson | undefined }
  | { readonly ok: false; readonly error: ErrorBody }

/** A success without a result. */
export const NOTHING: Outcome = { ok: true, result: undefined }

/** A success with `value` as its result. */
export function success(value: unknown): Outcome {
  return { ok: true, result: JSON.stringify(value) }
}

/** A success whose result is JSON text already. */
export function rawSuccess(result: RawJson | undefined): Outcome {
  return { ok: true, result }
}

/** A failure with a code that callers may branch on. */
export function failure(code: string, message: string): Outcome {
  return { ok: false, error: { code, message } }
}
