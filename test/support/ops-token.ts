import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The metadata with which a call shows the operator's token of a data folder. */
export function opsToken(data: string): { token: string } {
  return { token: readFileSync(join(data, 'ops.token'), 'utf8').trim() }
}
