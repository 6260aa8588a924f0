import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { System } from '../../src/operator/system.ts'
import type { OfferedFunction } from '../../src/workers/link/offer.ts'
import { operatorFunctions } from '../../src/workers/operator/operator.ts'
import type { OpsAccess, Scope } from '../../src/workers/operator/ops-access.ts'

const text = readFileSync(new URL('../../docs/ops-http.md', import.meta.url), 'utf8')

/** Every route of the operator's worker besides the files of the console. */
function routes() {
  let asked: Scope | undefined
  const access = {
    check(_: string | undefined, scope: Scope) {
      asked = scope
      throw new CqrsError('CQRS_UNAUTHORIZED', 'It only looks what is asked for.')
    },
  } as unknown as OpsAccess
  const limits = { maxLagMs: 0, minFreeBytes: 0, readyAnswerMs: 1 }
  const options = { system: {} as System, probed: {} as System, access, limits }
  const functions = operatorFunctions({ ...options, metrics: async () => [], log: pino({ level: 'silent' }) })
  /** The token that a request without one is told to show. */
  const tokenOf = async ({ handle }: OfferedFunction) => {
    asked = undefined
    const request = { trigger: { type: 'http' }, path_params: {}, query_params: {}, headers: {}, body: {} }
    // One that asks for no token goes on, and finds no system.
    await handle(request, {}).catch(() => {})
    return asked === undefined ? 'none' : asked === 'read' ? 'read' : 'full'
  }
  return {
    tokenOf,
    functions: functions.filter(({ http }) => http && !http.path.startsWith('/console')),
  }
}

test('docs/ops-http.md has every route that operators have, as it is, and no other', async () => {
  const { functions, tokenOf } = routes()
  const rows: string[] = []
  for (const offered of functions) {
    const { id, http, description } = offered
    rows.push(
      `| \`${http?.method} ${http?.path}\` | \`${id}\` | ${await tokenOf(offered)} | ${description} |`,
    )
  }
  const documented = text.split('\n').filter((line) => /^\| `(GET|POST|PUT|DELETE) /.test(line))
  expect(documented).toEqual(rows)
  expect(rows.length).toBeGreaterThan(25)
})
