import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvent, defineProjection, defineReactor } from '../../src/index.ts'
import { project } from '../../src/projection/testing.ts'

const Paid = defineEvent({
  type: 'paid',
  version: 2,
  schema: z.object({ account: z.string(), cents: z.int().min(1) }),
  upcasters: { 1: (data) => ({ account: 'cash', ...(data as object) }) },
})
const Closed = defineEvent({ type: 'closed', schema: z.object({ account: z.string() }) })

const key = ({ data }: { data: { account: string } }) => data.account

interface Balance {
  readonly cents: number
  readonly since?: string | undefined
}

type Apply = (balance: Balance, cents: number) => Balance | null

const balances = (apply: Apply, more: { partitions?: number; sequence?: () => string } = {}) =>
  defineProjection({
    name: 'balances',
    events: [Paid, Closed],
    initial: (_account: string): Balance => ({ cents: 0 }),
    ...more,
  }).on({
    paid: { key, apply: (balance, { data }) => apply(balance, data.cents) },
    closed: { key, apply: () => null },
  })

const sums = balances(({ cents }, more) => ({ cents: cents + more }))
const paid = (account: string, cents: number, stream = account) =>
  ({ type: 'paid', stream, data: { account, cents } }) as const

test('a projection is folded from the events of a test, and what is removed is gone', () => {
  const view = project(sums, paid('ann', 3), paid('bob', 4), paid('ann', 5), {
    type: 'closed',
    stream: 'bob',
    data: { account: 'bob' },
  })
  expect(view.get('ann')).toEqual({ cents: 8 })
  expect(view.get('bob')).toBeUndefined()
  expect(view.documents).toEqual({ ann: { cents: 8 } })
  expect(view.effects).toEqual([])
})

test('events that an older version stored pass through their upcasters', () => {
  expect(project(sums, { type: 'paid', schemaVersion: 1, data: { cents: 7 } }).documents).toEqual({
    cash: { cents: 7 },
  })
})

test('handlers see what the log adds to an event; a test may say what', () => {
  const seen: unknown[] = []
  const spy = defineReactor({ name: 'spy', events: [Paid], initial: () => ({}) }).on({
    paid: {
      key,
      apply: (memory, { position, stream, version, recordedAt, metadata, schemaVersion }) => {
        seen.push({ position, stream, version, recordedAt, schemaVersion, by: metadata.commandId })
        return memory
      },
    },
  })
  project(spy, paid('ann', 1), paid('bob', 1), paid('ann', 1), {
    ...paid('ann', 1),
    position: 90,
    version: 8,
    recordedAt: '2026-01-31T10:00:00.000Z',
    metadata: { commandId: 'c-1', correlationId: 'c-1' },
  })
  const recordedAt = '2020-01-01T00:00:00.000Z'
  expect(seen).toEqual([
    { position: 1, stream: 'ann', version: 1, recordedAt, schemaVersion: 2, by: 'command-1' },
    { position: 2, stream: 'bob', version: 1, recordedAt, schemaVersion: 2, by: 'command-2' },
    { position: 3, stream: 'ann', version: 2, recordedAt, schemaVersion: 2, by: 'command-3' },
    {
      position: 90,
      stream: 'ann',
      version: 8,
      recordedAt: '2026-01-31T10:00:00.000Z',
      schemaVersion: 2,
      by: 'c-1',
    },
  ])
})

test('a reactor’s effects are there in order', () => {
  const thanks = defineReactor({ name: 'thanks', events: [Paid], initial: () => ({ times: 0 }) }).on({
    paid: {
      key,
      apply: ({ times }, { data }, emit) => {
        if (times === 0) emit({ kind: 'publish', topic: 'new-payers', data })
        emit({ kind: 'call', functionId: 'cmd::thank', data: { account: data.account } })
        return { times: times + 1 }
      },
    },
  })
  expect(project(thanks, paid('ann', 3), paid('ann', 4)).effects).toEqual([
    { kind: 'publish', topic: 'new-payers', data: { account: 'ann', cents: 3 } },
    { kind: 'call', functionId: 'cmd::thank', data: { account: 'ann' } },
    { kind: 'call', functionId: 'cmd::thank', data: { account: 'ann' } },
  ])
})

test.each<[string, Apply, string]>([
  [
    'a handler that throws',
    () => {
      throw new Error('no such account')
    },
    'The event paid at position 2 would be parked: no such account',
  ],
  ['a handler that returns nothing', () => undefined as never, 'returned nothing; return the document'],
  ['a promise', (() => Promise.resolve({ cents: 1 })) as never, 'must be plain JSON; it is a Promise'],
  ['a document that is no JSON', () => ({ cents: Number.NaN }), 'must be plain JSON; cents is NaN'],
  [
    'a document that is changed in place',
    (balance) => Object.assign(balance, { cents: 1 }),
    'Cannot assign to read only property',
  ],
])('what production would park fails the test: %s', (_what, apply, says) => {
  const failing = balances((balance, cents) => (cents === 13 ? apply(balance, cents) : { cents }))
  expect(() => project(failing, paid('ann', 1), paid('ann', 13))).toThrow(
    expect.objectContaining({ code: 'CQRS_APP_INVALID', message: expect.stringContaining(says) }),
  )
})

test('a document is read back as JSON, without fields that are undefined', () => {
  const { documents } = project(
    balances((_, cents) => ({ cents, since: undefined })),
    paid('ann', 1),
  )
  expect(Object.keys(documents.ann ?? {})).toEqual(['cents'])
})

test('events that no log could hold fail the test', () => {
  expect(() => project(sums, paid('ann', 0))).toThrow('does not parse: cents: Too small')
  expect(() => project(sums, { type: 'payed', data: {} } as never)).toThrow('The app defines no event payed')
})

test('a document of a projection with partitions is made from one stream', () => {
  const split = balances(({ cents }, more) => ({ cents: cents + more }), { partitions: 2 })
  expect(project(split, paid('ann', 1), paid('ann', 1), paid('bob', 1)).get('ann')).toEqual({ cents: 2 })
  expect(() => project(split, paid('ann', 1), paid('ann', 1, 'other'))).toThrow(
    'its document ann is changed by events of two streams, ann and other',
  )
})

test('a sequence has to be a string', () => {
  const nameless = balances((balance) => balance, { sequence: () => undefined as never })
  expect(() => project(nameless, paid('ann', 1))).toThrow('named the sequence of paid with undefined')
})
