import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CommandExecutor } from '../../src/command/execute.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** Counts in steps; version 1 of the event had a text. */
const Counted = defineEvent({
  type: 'counted',
  version: 2,
  schema: z.object({ by: z.int() }),
  upcasters: { 1: (data) => ({ by: Number((data as { by: string }).by) }) },
})

const counter = defineDecider({ name: 'counter', events: [Counted], initialState: () => 0 })
  .evolve({ counted: (sum, { data }) => sum + data.by })
  .commands({
    count: {
      schema: z.strictObject({ name: z.string() }),
      stream: ({ name }) => name,
      decide: () => [{ type: 'counted', data: { by: 1 } }],
    },
  })

const app = defineApp({ name: 'counters', deciders: [counter], projections: [], queries: [] })

test.each([
  { what: 'of a type that the app does not define', type: 'measured', schemaVersion: 1, data: {} },
  { what: 'of a later version than the app knows', type: 'counted', schemaVersion: 3, data: { by: 1 } },
  { what: 'that its upcaster does not lift', type: 'counted', schemaVersion: 1, data: { by: 'one' } },
  { what: 'that its schema does not take', type: 'counted', schemaVersion: 2, data: { by: 0.5 } },
])('an event $what is not taken for damage: the error names it, and what to deploy', async (stored) => {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const { type, schemaVersion, data } = stored
  await log.append({
    stream: 'old',
    expectedVersion: 0,
    events: [{ type, schemaVersion, data }],
    metadata: { commandId: 'c', correlationId: 'c' },
  })
  const executor = new CommandExecutor({
    app,
    log,
    streamCacheSize: 10,
    conflictRetries: 0,
    onAppended: () => {},
    now: () => new Date(0),
  })
  await expect(executor.execute('count', { name: 'old' }, { commandId: '1' })).rejects.toMatchObject({
    code: 'CQRS_EVENT_UNREADABLE',
    message: expect.stringMatching(
      new RegExp(
        `stream old can be decided, .* position 1\\. .*${type}.*Nothing is damaged: deploy the version of the app`,
        's',
      ),
    ),
    details: { stream: 'old', position: 1, type, schemaVersion },
  })
  expect(await log.head()).toBe(1)
  expect(await executor.execute('count', { name: 'new' }, { commandId: '2' })).toMatchObject({
    kind: 'accepted',
  })
})
