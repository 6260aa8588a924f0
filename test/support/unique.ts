import { randomUUID } from 'node:crypto'

/** An id that no other test uses: engines are shared by the tests of a suite. */
export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`
}
