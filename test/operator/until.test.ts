import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { startRebuild } from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const ada = { by: 'ada', from: 'cli on desk-1' }

/** When the events of the log were stored, one after the other. */
const STORED = [
  '2026-01-30T23:59:59.999Z',
  '2026-01-31T00:00:00.000Z',
  '2026-01-31T12:00:00.000Z',
  '2026-01-31T12:00:00.000Z',
  '2026-01-31T12:00:00.500Z',
  '2026-02-01T08:30:00.000Z',
]

/** A log of events of these times, and what `until` an operator's rebuild for inspection ends at. */
async function site(stored: readonly string[]) {
  const folder = tempFolder()
  const control = openSqliteControl({ path: join(folder, 'control.db') })
  let now = 0
  const log = openSqliteEventLog({ path: join(folder, 'events.db'), now: () => now })
  onTestFinished(() => control.close())
  onTestFinished(() => log.close())
  for (const [version, time] of stored.entries()) {
    now = Date.parse(time)
    await log.append({
      stream: 'account-ada',
      expectedVersion: version,
      events: [{ type: 'moved', schemaVersion: 1, data: { account: 'ada', amount: 1 } }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
  await control.adopt({ projection: 'balances', generation: 1, version: 1, partitions: 1 })
  const app = { projections: new Map([['balances', balances()]]) } as unknown as App
  return async (until: unknown) => {
    const system = { app, log, control } as unknown as System
    const started = await startRebuild(system, { projection: 'balances', until, force: true }, ada)
    const { generations } = (await control.projection('balances')) ?? { generations: [] }
    expect(generations.at(-1)).toMatchObject({ purpose: 'inspect', until: started.until })
    return started.until
  }
}

test('a time means the last event that was stored by then', async () => {
  const endOf = await site(STORED)
  const times: [time: string, position: number][] = [
    // On one, and on several at once.
    ['2026-01-30T23:59:59.999Z', 1],
    ['2026-01-31T00:00:00.000Z', 2],
    ['2026-01-31T12:00:00Z', 4],
    ['2026-02-01T08:30:00Z', 6],
    // Between two.
    ['2026-01-31T11:59:59.999Z', 2],
    ['2026-01-31T12:00:00.499Z', 4],
    ['2026-01-31T12:00:01Z', 5],
    // After all of them.
    ['2030-01-01T00:00:00Z', 6],
    // A day is the moment at which it begins, in UTC.
    ['2026-01-31', 2],
    ['2026-02-01', 5],
    // Elsewhere on earth.
    ['2026-01-31T13:00:00+01:00', 4],
    ['2026-01-31T07:00:00.499-05:00', 4],
    ['2026-02-01T00:00:00+09:00', 5],
  ]
  for (const [time, position] of times) expect([time, await endOf(time)]).toEqual([time, position])
})

test('a time of before all events is refused with that of the first one', async () => {
  const endOf = await site(STORED)
  for (const time of ['2026-01-30T23:59:59.998Z', '2026-01-30', '2026-01-31T00:00:00+01:00']) {
    await expect(endOf(time)).rejects.toMatchObject({
      code: 'CQRS_VALIDATION',
      message:
        `until: no event was stored by ${new Date(time).toISOString()}. ` +
        'The first event was stored at 2026-01-30T23:59:59.999Z; give a later time, or a position.',
    })
  }
})

test('a position has to be in the log, and something else is no time', async () => {
  const endOf = await site(STORED)
  expect(await endOf(6)).toBe(6)
  await expect(endOf(7)).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: 'until: 7 is beyond the log, which ends at 6',
  })
  await expect(endOf(0)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  for (const until of ['yesterday', '2026-01-31T12:00:00', '2026-02-30']) {
    await expect(endOf(until)).rejects.toMatchObject({
      code: 'CQRS_VALIDATION',
      message: expect.stringMatching(/^until: give a position from 1 on, a day .*, or a time with its zone/),
    })
  }
})

test('an empty log has no time', async () => {
  const endOf = await site([])
  await expect(endOf('2030-01-01')).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: 'until: no event was stored by 2030-01-01T00:00:00.000Z. The log is empty.',
  })
})
