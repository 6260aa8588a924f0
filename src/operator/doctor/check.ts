/** The result of one check of the doctor. */
export interface Check {
  /** What was checked, e.g. `data folder`. */
  readonly name: string
  /** `fail` keeps the system from working; `warn` is worth a look. */
  readonly status: 'ok' | 'warn' | 'fail'
  /** What was found. */
  readonly found: string
  /** What to do about it; absent if it is ok. */
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
