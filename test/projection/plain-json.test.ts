import { expect, test } from 'vitest'
import { defineProjection, defineReactor, type Emit } from '../../src/kernel/projection.ts'
import { freezeJson } from '../../src/projection/plain-json.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { Moved } from '../support/ledger-app.ts'

const circular: { self?: unknown } = {}
circular.self = circular

const notJson: [string, unknown][] = [
  ['a document that contains itself', circular],
  ['a frozen document that contains itself', Object.freeze(circular)],
  ['a bigint', { n: 5n }],
  ['a number that JSON does not have', { n: Number.NaN }],
  ['a date', { n: new Date(0) }],
  ['a function', () => 1],
  ['a toJSON that throws', { toJSON: () => Promise.reject }],
  ['a promise', Promise.resolve({})],
  ['a hole in an array', { list: [undefined] }],
]

/** Makes `made` of the events of the account "ada", and a count of every other account's. */
function handing(made: (emit: Emit) => unknown) {
  return defineReactor({ name: 'handing', events: [Moved], initial: (): unknown => ({ count: 0 }) }).on({
    moved: {
      key: ({ data }) => data.account,
      apply: (document, { data }, emit) =>
        data.account === 'ada' ? made(emit) : { count: (document as { count: number }).count + 1 },
    },
  })
}

async function parkedBy(made: (emit: Emit) => unknown) {
  const { move, projector, document, view } = ledger(handing(made) as never)
  for (const account of ['bob', 'ada', 'bob']) await move(account, 1)
  await toHead(projector())
  expect(await document('bob')).toEqual({ count: 2 })
  expect(await document('ada')).toBeUndefined()
  const [parked] = await view.sequence('ada', 2)
  return parked?.failures[0]?.message
}

test.for(notJson)(
  'an event for which a handler returns %s is parked, and holds up no other stream',
  async ([, made]) => {
    expect(await parkedBy(() => made)).toMatch(/must be plain JSON/)
  },
)

test('an async handler that fails is parked and does not end the process', async () => {
  // Vitest fails a run in which a rejection was not handled.
  expect(await parkedBy(() => Promise.reject(new Error('late')))).toMatch(/is a Promise/)
})

test.for([
  ['no effect at all', null],
  ['an effect of an unknown kind', { kind: 'mail', topic: 't', data: {} }],
  ['an effect without a target', { kind: 'call', data: {} }],
  ['an effect that JSON cannot say', { kind: 'publish', topic: 't', data: circular }],
] as [string, unknown][])('an event for which a handler emits %s is parked', async ([, effect]) => {
  const message = await parkedBy((emit) => {
    emit(effect as never)
    return {}
  })
  expect(message).toMatch(/must be plain JSON|emit\(\) takes/)
})

test('a document may leave fields undefined, and says which field is wrong', () => {
  expect(Object.isFrozen(freezeJson({ a: undefined, b: [{ c: null }] }).b[0])).toBe(true)
  expect(() => freezeJson({ a: { b: 1n } })).toThrow('a.b is a bigint')
})

/** Of what is never quite the same in memory and in a store: what the handlers see of the document before. */
const seen: [string, { make: () => object; see: (made: never) => unknown }][] = [
  [
    'a field that is undefined',
    { make: () => ({ a: 1, b: undefined }), see: (made: object) => Object.keys(made).length },
  ],
  [
    'a field far inside that is undefined',
    { make: () => ({ a: [{ b: undefined }] }), see: ({ a }: { a: object[] }) => 'b' in (a[0] ?? {}) },
  ],
  [
    'a hole in an array',
    {
      make: () => {
        const list: number[] = []
        list[2] = 1
        return { list }
      },
      see: ({ list }: { list: unknown[] }) => list.map((each) => each === null).join(),
    },
  ],
  [
    'an array with a field of its own',
    {
      make: () => ({ list: Object.assign([1], { of: 2 }) }),
      see: ({ list }: { list: object }) => Object.keys(list).join(),
    },
  ],
  ['zero below zero', { make: () => ({ n: -0 }), see: ({ n }: { n: number }) => 1 / n > 0 }],
]

test.for(seen)(
  'a handler sees %s as a store gives it back, whether the document was in memory or not',
  async ([, { make, see }]) => {
    // The same part of a document again and again, as a constant of the app.
    const made = make()
    const views = defineProjection({
      name: 'views',
      events: [Moved],
      initial: (): { made: object; seen: unknown[] } => ({ made: {}, seen: [] }),
    }).on({
      moved: {
        key: ({ data }) => data.account,
        apply: (before, _) => ({
          made,
          seen:
            before.seen.length === 0 && Object.keys(before.made).length === 0
              ? ['first']
              : [...before.seen, see(before.made as never)],
        }),
      },
    })
    const folded = async (batchSize: number, isRestarted: boolean) => {
      const { move, projector, document } = ledger(views as never)
      let live = projector({ batchSize })
      for (let count = 0; count < 4; count += 1) await move('ada', 1)
      while ((await live.step()) === 'advanced') if (isRestarted) live = projector({ batchSize })
      return document('ada')
    }
    const stored = await folded(1, true)
    expect(await folded(1, false)).toEqual(stored)
    expect(await folded(4, false)).toEqual(stored)
  },
)
