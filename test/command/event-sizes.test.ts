import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CommandExecutor } from '../../src/command/execute.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

const Noted = defineEvent({ type: 'noted', schema: z.object({ note: z.unknown() }) })

const notes = defineDecider({ name: 'notes', events: [Noted], initialState: () => 0 })
  .evolve({ noted: (count) => count + 1 })
  .commands({
    note: {
      schema: z.strictObject({ notes: z.array(z.unknown()) }),
      stream: () => 'notes',
      decide: ({ notes: made }) => made.map((note) => ({ type: 'noted', data: { note } })),
    },
  })

/** Runs the command `note` with a limit for events, and tells where the log ends. */
function executor(maxEventBytes: number) {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const made = new CommandExecutor({
    app: defineApp({ name: 'notes', deciders: [notes], projections: [], queries: [] }),
    log,
    streamCacheSize: 10,
    conflictRetries: 0,
    maxEventBytes,
    onAppended: () => {},
    now: () => new Date(0),
  })
  return {
    head: () => log.head(),
    run: (...found: unknown[]) => made.execute('note', { notes: found }, { commandId: 'c' }),
  }
}

const nested = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`)

test('an event is as large as allowed, in bytes of its JSON; with one that is larger nothing of its command is stored', async () => {
  const { run, head } = executor(100)
  // {"note":"…"} has eleven bytes besides the text.
  expect(await run('é'.repeat(44))).toMatchObject({ kind: 'accepted', position: 1 })
  await expect(run('small', 'é'.repeat(45))).rejects.toMatchObject({
    code: 'CQRS_TOO_LARGE',
    details: { bytes: 101, limit: 100 },
  })
  expect(await head()).toBe(1)
})

test('an event that nests deeper than a list of events may is refused, with its type', async () => {
  const { run, head } = executor(1_000_000)
  expect(await run(nested(99))).toMatchObject({ kind: 'accepted', position: 1 })
  for (const levels of [100, 1_000]) {
    await expect(run('small', nested(levels))).rejects.toThrow(
      'an event noted that nests deeper than 100 levels',
    )
  }
  expect(await head()).toBe(1)
})
