import { expect, test } from 'vitest'
import { defineReactor, type Emit } from '../../src/kernel/projection.ts'
import { freezeJson } from '../../src/projection/plain-json.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { Moved } from '../support/ledger-app.ts'

const circular: { self?: unknown } = {}
circular.self = circular

const notJson: [string, unknown][] = [
  ['a document that holds itself', circular],
  ['a frozen document that holds itself', Object.freeze(circular)],
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
  'an event of which a handler makes %s is parked, and holds up nobody else',
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
