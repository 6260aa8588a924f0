import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CommandExecutor } from '../../src/command/execute.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

const Noted = defineEvent({ type: 'noted', schema: z.object({ text: z.string() }) })

interface Given {
  schema?: z.ZodType<unknown>
  stream?: (input: unknown) => string
  decide?: () => never
}

/** A log, and the command `note` of an app, as it is deployed now. */
function deployments() {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const deploy = ({ schema = z.unknown(), stream = () => 'notes', decide }: Given) => {
    const notes = defineDecider({ name: 'notes', events: [Noted], initialState: () => 0 })
      .evolve({ noted: (count) => count + 1 })
      .commands({
        note: { schema, stream, decide: decide ?? (() => [{ type: 'noted', data: { text: 'x' } }]) },
      })
    const executor = new CommandExecutor({
      app: defineApp({ name: 'notes', deciders: [notes] }),
      log,
      streamCacheSize: 10,
      conflictRetries: 0,
      onAppended: () => undefined,
      now: () => new Date(0),
    })
    return (input: unknown, idempotencyKey?: string) =>
      executor.execute('note', input, {
        commandId: 'c',
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      })
  }
  return { log, deploy }
}

const tags = z.array(z.string())

test.each<[string, z.ZodType<unknown>]>([
  ['a set', tags.transform((all) => new Set(all))],
  ['a map', tags.transform((all) => new Map(all.map((tag) => [tag, 1])))],
  [
    'a class',
    tags.transform(
      (all) =>
        new (class Tags {
          readonly #all = all
          has(tag: string) {
            return this.#all.includes(tag)
          }
        })(),
    ),
  ],
  ['an expression', tags.transform((all) => new RegExp(all.join('|')))],
  ['a bigint', tags.transform((all) => all.map((tag) => BigInt(tag.length)))],
])(
  'a key that was used for another input is refused, though the schema makes %s of it',
  async (_, schema) => {
    const { log, deploy } = deployments()
    const note = deploy({ schema })
    expect(await note(['red'], 'k')).toMatchObject({ kind: 'accepted', replayed: false })
    expect(await note(['red'], 'k')).toMatchObject({ kind: 'accepted', replayed: true })
    expect(await note(['green'], 'k')).toEqual({ kind: 'key-reused' })
    expect(await log.head()).toBe(1)
  },
)

test('an input that names no stream is refused, and so is a decider whose stream is no text', async () => {
  const { log, deploy } = deployments()
  const byName = deploy({ stream: (input) => (input as { name: string }).name })
  expect(await byName({ name: '' })).toMatchObject({ kind: 'invalid', issues: [{ field: '(input)' }] })
  await expect(byName({})).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringContaining('The stream of the command note is undefined'),
  })
  expect(await log.head()).toBe(0)
})

test.each<[string, unknown]>([
  ['a promise', [Promise.resolve({ type: 'noted', data: { text: 'x' } })]],
  ['nothing', [undefined]],
  ['null', [null]],
  ['a text', ['noted']],
  ['a list', [[{ type: 'noted', data: { text: 'x' } }]]],
])('a decision with %s for an event is told what an event is, and nothing is stored', async (_, decided) => {
  const { log, deploy } = deployments()
  const note = deploy({ decide: () => decided as never })
  await expect(note({})).rejects.toMatchObject({ code: 'CQRS_APP_INVALID' })
  await expect(note({}, 'k')).rejects.toThrow('each event has to be an object { type, data }')
  expect(await log.head()).toBe(0)
})

test('hundreds of events of one command are stored together, and again as the same answer', async () => {
  const { log, deploy } = deployments()
  const many = Array.from({ length: 700 }, () => ({ type: 'noted', data: { text: 'x' } }))
  const note = deploy({ decide: () => many as never })
  const answer = { kind: 'accepted', position: 700, version: 700, events: 700 }
  expect(await note({}, 'k')).toEqual({ ...answer, replayed: false })
  expect(await note({}, 'k')).toEqual({ ...answer, replayed: true })
  expect(await log.head()).toBe(700)
})

test('a decider that throws leaves nothing, not even its key', async () => {
  const { deploy } = deployments()
  const failing = deploy({
    decide: () => {
      throw new TypeError('broken')
    },
  })
  await expect(failing({}, 'k')).rejects.toThrow('broken')
  expect(await deploy({})({}, 'k')).toMatchObject({ kind: 'accepted', replayed: false, position: 1 })
})
