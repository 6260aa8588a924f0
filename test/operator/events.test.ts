import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { App } from '../../src/kernel/app.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { exportEvents, readEvents, showEvent } from '../../src/operator/events.ts'
import type { System } from '../../src/operator/system.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('an answer of large events holds some of them, and says where to go on', async () => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const text = 'x'.repeat(2_000_000)
  for (let version = 0; version < 12; version += 1) {
    await log.append({
      stream: version % 2 === 0 ? 'even' : 'odd',
      expectedVersion: Math.floor(version / 2),
      events: [{ type: 'large', schemaVersion: 1, data: { text } }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
  const pages = async (filter: object) => {
    const found: number[][] = []
    for (let [after, head] = [0, 1]; after < head; ) {
      const page = await readEvents({ log } as unknown as System, { after, limit: 1_000, ...filter })
      found.push(page.events.map(({ position }) => position))
      ;[after, head] = [page.next, page.head]
    }
    return found
  }
  expect(await pages({})).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
    [10, 11, 12],
  ])
  expect(await pages({ stream: 'odd' })).toEqual([[2], [4, 6], [8], [10, 12]])
})

test.each([{}, { types: ['wanted'] }, { stream: 'wanted' }])(
  'what is gathered with %j from many positions still fits into an answer',
  async (filter) => {
    const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
    onTestFinished(() => log.close())
    const text = 'x'.repeat(12_000)
    for (let batch = 0; batch < 12; batch += 1) {
      for (const [name, data] of [
        ['wanted', { text }],
        ['other', {}],
      ] as const) {
        await log.append({
          stream: name,
          expectedVersion: batch * 100,
          events: Array.from({ length: 100 }, () => ({ type: name, schemaVersion: 1, data })),
          metadata: { commandId: 'c', correlationId: 'c' },
        })
      }
    }
    const found: number[] = []
    for (let [after, head] = [0, 1]; after < head; ) {
      const page = await readEvents({ log } as unknown as System, { after, limit: 1_000, ...filter })
      // As a text in a frame it may be twice as large, and has to stay below 16 MiB.
      expect(JSON.stringify(page).length).toBeLessThan(4_500_000)
      found.push(...page.events.filter(({ type }) => type === 'wanted').map(({ position }) => position))
      ;[after, head] = [page.next, page.head]
    }
    expect(found).toHaveLength(1_200)
    expect(new Set(found).size).toBe(1_200)
  },
)

test('an event that is too large or too deep for an answer is listed cut or as a text, and hides none behind it', async () => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const deep = `${'['.repeat(125)}${']'.repeat(125)}`
  const events = [{ text: 'x'.repeat(5_000_000) }, JSON.parse(deep), { n: 3 }].map((data) => ({
    type: 'made',
    schemaVersion: 1,
    data: data as unknown,
  }))
  const metadata = { commandId: 'c', correlationId: 'c' }
  await log.append({ stream: 'one', expectedVersion: 0, events, metadata })
  const system = { log } as unknown as System
  const first = await readEvents(system, {})
  expect(first.events).toMatchObject([
    { position: 1, data: expect.stringMatching(/^\{"text":"x{4087}… \(5000011 characters\)$/) },
  ])
  const second = await readEvents(system, { after: first.next })
  expect(second.events).toMatchObject([{ data: deep }, { data: { n: 3 } }])
  expect(await showEvent(system, { position: 2 })).toMatchObject({ data: deep })
  expect(await showEvent(system, { position: 1 })).toMatchObject({ data: events[0]?.data })
})

test('an export lets others have their turn, however fast it is taken', async () => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  for (let version = 0; version < 3_000; version += 500) {
    await log.append({
      stream: 's',
      expectedVersion: version,
      events: Array.from({ length: 500 }, () => ({ type: 'happened', schemaVersion: 1, data: {} })),
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
  let turns = 0
  let next: NodeJS.Immediate | undefined
  const turn = () => {
    turns += 1
    next = setImmediate(turn)
  }
  turn()
  let pieces = 0
  for await (const _ of exportEvents({ app: { name: 'shop' } as App, log }, {})) pieces += 1
  clearImmediate(next)
  expect(pieces).toBe(8)
  expect(turns).toBeGreaterThanOrEqual(6)
})

test('an export of more than the log has is refused, and not shortened', async () => {
  const log = { head: async () => 3 } as unknown as EventLog
  const first = exportEvents({ app: { name: 'shop' } as App, log }, { from: '2', to: '9' }).next()
  await expect(first).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: 'to: 9 is beyond the log, which ends at 3',
  })
})
