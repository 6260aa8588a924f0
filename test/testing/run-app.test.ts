import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  conflict,
  defineApp,
  defineDecider,
  defineEvent,
  defineLogQuery,
  defineProjection,
  defineQuery,
  defineReactor,
  type Effect,
} from '../../src/index.ts'
import { runApp } from '../../src/testing.ts'

const Hit = defineEvent({ type: 'hit', schema: z.strictObject({ ball: z.string(), times: z.int() }) })

const key = ({ data }: { data: { ball: string } }) => data.ball

/** Who hits balls, each at most `most` times. */
function hitting(most: number) {
  return defineDecider({ name: 'ball', events: [Hit], initialState: () => ({ times: 0 }) })
    .evolve({ hit: (_, { data }) => ({ times: data.times }) })
    .commands({
      hit: {
        schema: z.strictObject({ ball: z.string() }),
        stream: ({ ball }) => `ball-${ball}`,
        decide: ({ ball }, { times }) =>
          times < most
            ? [{ type: 'hit', data: { ball, times: times + 1 } }]
            : conflict('worn_out', 'It is worn out.'),
      },
    })
}

/** A ball that is hit, at most `most` times; `emits` says what each hit causes, `fails` which hits no view can take. */
function game(options: {
  most?: number
  partitions?: number
  emits?: (ball: string) => Effect
  fails?: (times: number) => boolean
}) {
  const { most = 100, partitions = 1, emits, fails = () => false } = options
  const decider = hitting(most)
  const balls = defineProjection({
    name: 'balls',
    events: [Hit],
    initial: (ball: string) => ({ ball, times: 0, at: '' }),
    indexes: ['times'],
    partitions,
  }).on({
    hit: {
      key,
      apply: (_, { data, recordedAt }) => {
        if (fails(data.times)) throw new Error(`cannot count to ${data.times}`)
        return { ...data, at: recordedAt }
      },
    },
  })
  const player = defineReactor({ name: 'player', events: [Hit], initial: () => ({}) }).on({
    hit: {
      key,
      apply: (memory, { data }, emit) => {
        if (emits) emit(emits(data.ball))
        return memory
      },
    },
  })
  const byHits = defineQuery({
    name: 'by-hits',
    reads: balls,
    input: z.strictObject({ least: z.int().default(0) }),
    run: async (view, { least }) =>
      (await view.find({ by: 'times', from: least, order: 'descending', limit: 10 })).items,
  })
  const history = defineLogQuery({
    name: 'history',
    input: z.strictObject({ ball: z.string() }),
    run: (log, { ball }) => log.history(`ball-${ball}`, { limit: 10 }),
  })
  return defineApp({
    name: 'game',
    deciders: [decider],
    projections: [balls],
    reactors: [player],
    queries: [byHits, history],
  })
}

test('commands, views with partitions, queries and the log work as in production', async () => {
  let time = Date.parse('2026-01-01T00:00:00Z')
  await using app = await runApp(game({ partitions: 3 }), { now: () => new Date(time) })
  for (const ball of ['a', 'b', 'c', 'b', 'c', 'c']) {
    expect(await app.command('hit', { ball })).toMatchObject({ kind: 'accepted' })
    time += 1_000
  }
  expect(await app.query('by-hits', { least: 2 })).toEqual([
    { ball: 'c', times: 3, at: '2026-01-01T00:00:05.000Z' },
    { ball: 'b', times: 2, at: '2026-01-01T00:00:03.000Z' },
  ])
  expect(await app.query('history', { ball: 'b' })).toMatchObject([{ version: 2 }, { version: 1 }])
  expect(await app.events('ball-b')).toMatchObject([{ position: 2 }, { position: 4 }])
  expect((await app.events()).map(({ stream }) => stream)).toEqual([
    'ball-a',
    'ball-b',
    'ball-c',
    'ball-b',
    'ball-c',
    'ball-c',
  ])
})

test('a command with the same key counts once, one that is not valid says why', async () => {
  await using app = await runApp(game({}))
  await app.command('hit', { ball: 'a' }, { idempotencyKey: 'k' })
  expect(await app.command('hit', { ball: 'a' }, { idempotencyKey: 'k' })).toMatchObject({ replayed: true })
  expect(await app.command('hit', { bat: 'a' })).toMatchObject({ kind: 'invalid' })
  expect(await app.events()).toHaveLength(1)
  await expect(app.query('by-hits', { least: 'many' })).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  await expect(app.query('by-miss')).rejects.toThrow('it has: by-hits, history')
})

test('what goes in and comes out is what JSON makes of it, as in production', async () => {
  const clock = defineLogQuery({
    name: 'clock',
    input: z.strictObject({ at: z.union([z.date(), z.string()]) }),
    run: async (_, { at }) => ({ at, seen: new Date(0), gone: undefined }),
  })
  const asked = defineDecider({ name: 'clock', events: [Hit], initialState: () => ({}) })
    .evolve({ hit: (state) => state })
    .commands({
      wind: {
        schema: z.strictObject({ at: z.date() }),
        stream: () => 'clock',
        decide: () => [],
      },
    })
  await using app = await runApp(defineApp({ name: 'clocks', deciders: [asked], queries: [clock] }))
  const at = new Date('2026-01-01')
  expect(await app.command('wind', { at })).toMatchObject({ kind: 'invalid', issues: [{ field: 'at' }] })
  expect(await app.query('clock', { at })).toStrictEqual({
    at: '2026-01-01T00:00:00.000Z',
    seen: '1970-01-01T00:00:00.000Z',
  })
})

test('effects wait until the app settles; commands that they cause have effects in turn', async () => {
  const emits = (ball: string): Effect => ({ kind: 'call', functionId: 'cmd::hit', data: { ball } })
  await using app = await runApp(game({ most: 5, emits }))
  await app.command('hit', { ball: 'a' })
  expect(await app.query('by-hits')).toMatchObject([{ times: 1 }])
  await expect(app.settle()).rejects.toThrow(
    'The effect player:5:1 was not carried out: The command cmd::hit was not accepted: worn_out: It is worn out.',
  )
  expect(await app.query('by-hits')).toMatchObject([{ times: 5 }])
})

test('what is published is there once, and what failed is tried again', async () => {
  let isOpen = false
  const taken: unknown[] = []
  const emits = (ball: string): Effect =>
    ball === 'loud'
      ? { kind: 'publish', topic: 'hits', data: { ball } }
      : { kind: 'call', functionId: 'net::catch', data: { ball } }
  const functions = {
    'net::catch': (data: Record<string, unknown>, metadata: Record<string, unknown>) => {
      if (!isOpen) throw new Error('the net is closed')
      taken.push([data, metadata])
    },
  }
  await using app = await runApp(game({ emits }), { functions })
  await app.command('hit', { ball: 'loud' })
  await app.command('hit', { ball: 'a' }, { correlationId: 'game-1' })
  await expect(app.settle()).rejects.toThrow('The effect player:2:1 was not carried out: the net is closed')
  isOpen = true
  await app.settle()
  await app.settle()
  expect(app.published).toEqual([{ topic: 'hits', data: { ball: 'loud', idempotencyKey: 'player:1:1' } }])
  const [caught] = await app.events('ball-a')
  expect(taken).toEqual([
    [
      { ball: 'a', idempotencyKey: 'player:2:1' },
      { correlationId: 'game-1', causationId: caught?.id },
    ],
  ])
})

test('a test answers for a command of another app, and for no command that the app has itself', async () => {
  const emits = (ball: string): Effect =>
    ball === 'own'
      ? { kind: 'call', functionId: 'cmd::hit', data: { ball: 'hit-back' } }
      : { kind: 'call', functionId: 'cmd::keep-score', data: { ball } }
  let isFull = true
  const taken: unknown[] = []
  const functions = {
    'cmd::keep-score': (data: object, metadata: object) => {
      if (isFull) return { kind: 'rejected', rejection: { code: 'full', message: 'The board is full.' } }
      taken.push([data, metadata])
      return { kind: 'accepted' }
    },
    'cmd::hit': () => {
      throw new Error('the app has this command itself')
    },
  }
  await using app = await runApp(game({ emits }), { functions })
  await app.command('hit', { ball: 'a' }, { correlationId: 'game-1' })
  await expect(app.settle()).rejects.toThrow('cmd::keep-score was not accepted: full: The board is full.')
  isFull = false
  await app.settle()
  const metadata = { correlationId: 'game-1', causationId: expect.any(String), idempotencyKey: 'player:1:1' }
  expect(taken).toEqual([[{ ball: 'a' }, metadata]])

  await app.command('hit', { ball: 'own' })
  await app.settle()
  expect(await app.events('ball-hit-back')).toHaveLength(1)
})

test('what fails in one view keeps no other one from going on', async () => {
  const reactor = (name: string, functionId: string) =>
    defineReactor({ name, events: [Hit], initial: () => ({}) }).on({
      hit: {
        key,
        apply: (memory, { data }, emit) => {
          if (name === 'deaf') throw new Error('it hears nothing')
          emit({ kind: 'call', functionId, data: { ball: data.ball } })
          return memory
        },
      },
    })
  const reactors = [reactor('deaf', ''), reactor('first', 'net::catch'), reactor('second', 'crowd::cheer')]
  const cheered: unknown[] = []
  const functions = { 'crowd::cheer': ({ ball }: Record<string, unknown>) => cheered.push(ball) }
  await using app = await runApp(defineApp({ name: 'match', deciders: [hitting(100)], reactors }), {
    functions,
  })
  await app.command('hit', { ball: 'a' })
  await app.command('hit', { ball: 'b' })
  await expect(app.settle()).rejects.toThrow('The effect first:1:1 was not carried out: There is no function')
  expect(cheered).toEqual(['a', 'b'])
})

test('a function that is missing, and reactors that never come to an end, fail the test', async () => {
  await using lonely = await runApp(
    game({ emits: (ball) => ({ kind: 'call', functionId: 'net::catch', data: { ball } }) }),
  )
  await lonely.command('hit', { ball: 'a' })
  await expect(lonely.settle()).rejects.toThrow('There is no function net::catch; give one in "functions".')

  const emits = (ball: string): Effect => ({ kind: 'call', functionId: 'cmd::hit', data: { ball } })
  await using endless = await runApp(game({ emits }), { maxEffects: 20 })
  await endless.command('hit', { ball: 'a' })
  await expect(endless.settle()).rejects.toThrow('There are more than 20 effects.')
})

test('an event that is parked fails the test, with the reason, and is tried again', async () => {
  let fails = true
  await using app = await runApp(game({ fails: (times) => fails && times === 2 }))
  for (const ball of ['a', 'a', 'a', 'b']) await app.command('hit', { ball })
  const says = 'balls parked the event hit at position 2: cannot count to 2'
  await expect(app.settle()).rejects.toThrow(says)
  await expect(app.query('by-hits')).rejects.toThrow(says)
  fails = false
  expect(await app.query('by-hits')).toMatchObject([
    { ball: 'a', times: 3 },
    { ball: 'b', times: 1 },
  ])
})

test('an app that is closed leaves no files', async () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('iii-durable-cqrs-'))
  const before = new Set(folders())
  const app = await runApp(game({}))
  const [own] = folders().filter((name) => !before.has(name))
  await app.close()
  expect(folders()).not.toContain(own)
})
