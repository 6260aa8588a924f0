/** One thing that the doctor looked at. */
export interface Check {
  /** What was looked at, e.g. `data folder`. */
  readonly name: string
  /** `fail` keeps the system from working; `warn` is worth a look. */
  readonly status: 'ok' | 'warn' | 'fail'
  /** What was found. */
  readonly found: string
  /** What to do about it; only if it is not ok. */
  readonly advice?: string
}

/** All is well. */
export function ok(name: string, found: string): Check {
  return { name, status: 'ok', found }
}

/** Worth a look. */
export function warn(name: string, found: string, advice: string): Check {
  return { name, status: 'warn', found, advice }
}

/** Keeps the system from working. */
export function fail(name: string, found: string, advice: string): Check {
  return { name, status: 'fail', found, advice }
}
