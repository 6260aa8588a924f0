import { hash } from 'node:crypto'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CommandExecutor } from '../../src/command/execute.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

const noted = defineEvent({ type: 'noted', schema: z.object({ text: z.string() }) })
const KEY = 'order-1'

/** A desk that takes notes; each schema given is what one start of the program accepts. */
function desk() {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const start = (schema: z.ZodType<object>) => {
    const decider = defineDecider({ name: 'desk', events: [noted], initialState: () => 0 })
      .evolve({ noted: (notes) => notes + 1 })
      .commands({
        note: { schema, stream: () => 'desk', decide: (input) => [{ type: 'noted', data: textOf(input) }] },
      })
    const executor = new CommandExecutor({
      app: defineApp({ name: 'desk', deciders: [decider], projections: [], queries: [] }),
      log,
      streamCacheSize: 10,
      conflictRetries: 3,
      onAppended: () => undefined,
      now: () => new Date('2026-01-01T00:00:00Z'),
    })
    return (input: unknown) => executor.execute('note', input, { commandId: 'c', idempotencyKey: KEY })
  }
  return { log, start }
}

const textOf = (input: object) => ({ text: JSON.stringify(Object.keys(input)) })

const first = { kind: 'accepted', position: 1, version: 1, events: 1, replayed: false }
const again = { ...first, replayed: true }
const reused = { kind: 'key-reused' }

test('a repetition is known though its schema fills in something else each time', async () => {
  let made = 0
  const note = desk().start(
    z.object({
      text: z.string(),
      id: z.string().default(() => `note-${++made}`),
    }),
  )
  expect(await note({ text: 'milk' })).toEqual(first)
  expect(await note({ text: 'milk' })).toEqual(again)
  expect(await note({ text: 'eggs' })).toEqual(reused)
})

test('a repetition is known though it is spelt otherwise, if its schema makes the same of it', async () => {
  const note = desk().start(z.object({ text: z.string().trim() }))
  expect(await note({ text: 'milk', sentAt: 1 })).toEqual(first)
  expect(await note({ sentAt: 2, text: ' milk ' })).toEqual(again)
  expect(await note({ text: 'eggs', sentAt: 1 })).toEqual(reused)
})

test('a repetition is known after the schema has changed, and even where it is not valid any more', async () => {
  const { start } = desk()
  expect(await start(z.object({ text: z.string() }))({ text: 'milk' })).toEqual(first)
  expect(await start(z.object({ text: z.string(), copies: z.int().default(1) }))({ text: 'milk' })).toEqual(
    again,
  )
  const strict = start(z.strictObject({ text: z.string().min(10) }))
  expect(await strict({ text: 'milk' })).toEqual(again)
  expect(await strict({ text: 'eggs' })).toMatchObject({ kind: 'invalid' })
})

test('a key that was stored with what its schema had made of the input alone is known', async () => {
  const { log, start } = desk()
  const event = { id: 'id-1', type: 'noted', schemaVersion: 1, data: { text: '' } }
  await log.append({
    stream: 'desk',
    expectedVersion: 0,
    events: [event],
    metadata: { commandId: 'c', correlationId: 'c' },
    idempotency: { key: KEY, fingerprint: hash('sha256', '["note",{"copies":1,"text":"milk"}]') },
  })
  const note = start(z.object({ text: z.string(), copies: z.int().default(1) }))
  expect(await note({ text: 'milk' })).toEqual(again)
  expect(await note({ text: 'eggs' })).toEqual(reused)
})

test('a command is no repetition because what it sends is what the schema made of the one before, or the other way round', async () => {
  const inCents = z.object({ amount: z.int().transform((units) => units * 100) })
  const note = desk().start(inCents)
  expect(await note({ amount: 100 })).toEqual(first)
  expect(await note({ amount: 1 })).toEqual(reused)
  expect(await note({ amount: 10_000 })).toEqual(reused)
  expect(await note({ amount: 100 })).toEqual(again)
  const { start } = desk()
  expect(await start(inCents)({ amount: 1 })).toEqual(first)
  expect(await start(z.object({ amount: z.literal(1) }))({ amount: 100 })).toMatchObject({ kind: 'invalid' })
})
