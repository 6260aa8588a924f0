import { expect, onTestFinished, test } from 'vitest'
import type { ActionStore } from '../../src/operator/action-store.ts'

const NEWEST = Number.MAX_SAFE_INTEGER

const begun = (operation: string, more: object = {}) => ({
  operation,
  input: { queue: 'jobs' },
  by: 'ada',
  from: 'cli on desk-1',
  begunAt: '2026-01-01T00:00:00.000Z',
  ...more,
})

/** What every record of operators' actions promises. `open` opens the same store, also while it is open. */
export function actionStoreContract(newStore: () => () => Promise<ActionStore>): void {
  function driver() {
    const open = newStore()
    return async () => {
      const store = await open()
      onTestFinished(() => store.close())
      return store
    }
  }
  const all = (store: ActionStore) => store.list({ before: NEWEST, limit: 100 })
  const ids = async (store: ActionStore, options: Partial<Parameters<ActionStore['list']>[0]> = {}) =>
    (await store.list({ before: NEWEST, limit: 100, ...options })).map(({ id }) => id)

  test('an action is there as it began, and as it ended, field by field, also after reopening', async () => {
    const open = driver()
    const store = await open()
    const odd = begun('ops::dlq-discard', {
      input: { id: 'parked:a:1', reason: 'Ω – 雪 "quoted"', nested: [null, { much: 1.5 }] },
      by: 'Zoë',
    })
    expect(await all(store)).toEqual([])
    const id = await store.begin(odd)
    const action = { id, ...odd, endedAt: null, outcome: 'begun', result: null }
    expect(await all(store)).toEqual([action])
    const end = { outcome: 'done', result: { discarded: 1 }, endedAt: '2026-01-01T00:00:01.000Z' } as const
    await store.end(id, end)
    await store.close()
    expect(await all(await open())).toEqual([{ ...action, ...end }])
  })

  test('an action without input or result has null; one that failed has its error', async () => {
    const store = await driver()()
    const first = await store.begin(begun('ops::pause', { input: undefined }))
    await store.end(first, { outcome: 'done', result: undefined, endedAt: '2026-01-01T00:00:01.000Z' })
    const second = await store.begin(begun('ops::pause'))
    const result = 'CQRS_NOT_FOUND: There is no such projection.'
    await store.end(second, { outcome: 'failed', result, endedAt: '2026-01-01T00:00:02.000Z' })
    expect(await all(store)).toMatchObject([
      { id: second, outcome: 'failed', result },
      { id: first, input: null, outcome: 'done', result: null },
    ])
  })

  test('ids grow by one from 1 on, whoever writes, also after reopening', async () => {
    const open = driver()
    const stores = [await open(), await open()]
    const given = await Promise.all(
      Array.from({ length: 10 }, (_, index) => stores[index % 2]?.begin(begun('ops::resume'))),
    )
    const numbers = Array.from({ length: 10 }, (_, index) => index + 1)
    expect(given.sort((one, other) => Number(one) - Number(other))).toEqual(numbers)
    for (const store of stores) expect(await ids(store)).toEqual(numbers.toReversed())
    for (const store of stores) await store.close()
    expect(await (await open()).begin(begun('ops::resume'))).toBe(11)
  })

  test('one process ends its own action, and the others see that', async () => {
    const open = driver()
    const [one, other] = [await open(), await open()]
    const mine = await one.begin(begun('ops::rebuild'))
    const yours = await other.begin(begun('ops::verify'))
    await one.end(mine, { outcome: 'done', result: 1, endedAt: '2026-01-01T00:00:01.000Z' })
    expect(await all(other)).toMatchObject([
      { id: yours, operation: 'ops::verify', outcome: 'begun', endedAt: null },
      { id: mine, operation: 'ops::rebuild', outcome: 'done', result: 1 },
    ])
  })

  test('actions are listed newest first, below an id, also those of one operation', async () => {
    const store = await driver()()
    for (const operation of ['a', 'b', 'a', 'a', 'b']) await store.begin(begun(operation))
    expect(await ids(store, { limit: 2 })).toEqual([5, 4])
    expect(await ids(store, { before: 4, limit: 2 })).toEqual([3, 2])
    expect(await ids(store, { before: 2 })).toEqual([1])
    expect(await ids(store, { before: 1 })).toEqual([])
    expect(await ids(store, { operation: 'a', limit: 2 })).toEqual([4, 3])
    expect(await ids(store, { operation: 'a', before: 3 })).toEqual([1])
    expect(await ids(store, { operation: 'none' })).toEqual([])
  })
}
