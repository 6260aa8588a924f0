import { describe, expect, onTestFinished, test } from 'vitest'
import type { Failure, FailureRecord, NewMessage, QueueStore } from '../../src/queue/contract.ts'
import { parseQueueSettings } from '../../src/queue/settings.ts'

const definition = { settings: parseQueueSettings('jobs', {}), subscription: undefined }
const NO_LIMIT = 1_000_000

const message = (id: string, extra: Partial<NewMessage> = {}): NewMessage => ({
  queue: 'jobs',
  id,
  functionId: 'job::run',
  group: undefined,
  data: `{"id":"${id}"}`,
  ...extra,
})

const failure = (error: string, at = 5): Failure => ({ kind: 'failed', error, at })
const record = (seq: number, attempts = 1, error = 'no'): FailureRecord => ({
  seq,
  attempts,
  stops: 0,
  failure: failure(error),
})

/** What every queue store promises. `open` opens the same store each time, after the last was closed. */
export function queueStoreContract(driver: string, newStore: () => () => Promise<QueueStore>): void {
  describe(`queue store on ${driver}`, () => {
    async function opened() {
      const open = newStore()
      let store = await open()
      onTestFinished(() => store.close())
      await store.define('jobs', definition)
      await store.define('other', definition)
      return {
        get store() {
          return store
        },
        async reopen() {
          await store.close()
          store = await open()
          return store
        },
      }
    }
    const seqs = async (store: QueueStore, queue = 'jobs') =>
      (await store.read(queue, 0, NO_LIMIT, NO_LIMIT)).messages.map(({ seq }) => seq)
    const deadIds = async (store: QueueStore) =>
      (await store.deadLetters('jobs', 0, NO_LIMIT)).map(({ id }) => id)
    const bury = (store: QueueStore, ...buried: number[]) =>
      Promise.all(buried.map((seq) => store.deadLetter('jobs', record(seq, 3))))

    test('messages get contiguous seqs in the order of the calls, each queue its own', async () => {
      const { store } = await opened()
      const outcomes = await Promise.all([
        store.enqueue([message('a')]),
        store.enqueue([message('x', { queue: 'other' }), message('b')]),
        store.enqueue([message('c')]),
      ])
      expect(outcomes.flat()).toEqual([1, 1, 2, 3].map((seq) => ({ outcome: 'accepted', seq })))
    })

    test('what was stored is there after reopening, field by field', async () => {
      const context = await opened()
      const odd = message('é\u{1F600}', {
        group: '"g\\u0000"',
        functionId: 'f::ü',
        data: '"\\u0000 \\ud800 😀"',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      })
      await context.store.enqueue([odd, message('b')])
      const store = await context.reopen()
      const { messages, end, tail } = await store.read('jobs', 0, 10, NO_LIMIT)
      const { queue: _, ...fields } = odd
      expect(messages[0]).toEqual({ ...fields, seq: 1, attempts: 0, stops: 0, dueAt: undefined })
      expect(messages[1]).toMatchObject({ seq: 2, id: 'b', group: undefined })
      expect({ end, tail }).toEqual({ end: 2, tail: 2 })
    })

    test('seqs are never used twice, also after everything is finished and the store reopened', async () => {
      const context = await opened()
      await context.store.enqueue([message('a'), message('b')])
      await context.store.acknowledge('jobs', [1, 2])
      const store = await context.reopen()
      expect(await store.enqueue([message('c')])).toEqual([{ outcome: 'accepted', seq: 3 }])
    })

    test('a second message with the same id is a duplicate: at once, later, finished, or after reopening', async () => {
      const context = await opened()
      const duplicate = [{ outcome: 'duplicate' }]
      expect(await context.store.enqueue([message('a'), message('a')])).toEqual([
        { outcome: 'accepted', seq: 1 },
        { outcome: 'duplicate' },
      ])
      expect(await context.store.enqueue([message('a', { data: '"different"' })])).toEqual(duplicate)
      await context.store.acknowledge('jobs', [1])
      expect(await context.store.enqueue([message('a')])).toEqual(duplicate)
      const store = await context.reopen()
      expect(await store.enqueue([message('a')])).toEqual(duplicate)
      expect(await store.enqueue([message('a', { queue: 'other' })])).toEqual([
        { outcome: 'accepted', seq: 1 },
      ])
      expect(await store.counts('jobs')).toEqual({ depth: 0, dead: 0 })
    })

    test('a message for a queue that is not defined is not stored', async () => {
      const { store } = await opened()
      expect(await store.enqueue([message('a', { queue: 'nowhere' })])).toEqual([
        { outcome: 'unknown-queue' },
      ])
      expect(await store.counts('nowhere')).toBeUndefined()
    })

    test('pages are in order, bounded by count and by bytes, and tell where the next one starts', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c', 'd'].map((id) => message(id, { data: '"123456789"' })))
      const first = await store.read('jobs', 0, 3, NO_LIMIT)
      expect(first.messages.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
      expect(first).toMatchObject({ end: 3, tail: 4 })
      const second = await store.read('jobs', first.end, 3, NO_LIMIT)
      expect(second.messages.map(({ id }) => id)).toEqual(['d'])
      expect(second).toMatchObject({ end: 4, tail: 4 })
      const small = await store.read('jobs', 0, 10, 12)
      expect(small.messages.map(({ id }) => id)).toEqual(['a', 'b'])
      expect(small.end).toBe(2)
    })

    test('messages are loaded by their seqs: those that are there, in the order asked for, bounded by bytes', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c', 'd'].map((id) => message(id, { data: '"123456789"' })))
      await store.acknowledge('jobs', [2])
      const ids = async (seqs: number[], maxBytes = NO_LIMIT) =>
        (await store.load('jobs', seqs, maxBytes)).map(({ id }) => id)
      expect(await ids([4, 99, 2, 1])).toEqual(['d', 'a'])
      expect(await ids([4, 3, 1], 12)).toEqual(['d', 'c'])
      expect(await ids([])).toEqual([])
    })

    test('an acknowledged message is gone, and acknowledging it again changes nothing', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c'].map((id) => message(id)))
      await store.acknowledge('jobs', [1, 3])
      await store.acknowledge('jobs', [1, 3, 99])
      expect(await seqs(store)).toEqual([2])
      expect(await store.counts('jobs')).toEqual({ depth: 1, dead: 0 })
    })

    test('attempts, stops and the due time survive reopening; an acknowledged message takes them along', async () => {
      const context = await opened()
      await context.store.enqueue([message('a'), message('b')])
      expect(await context.store.recordFailure('jobs', { ...record(1, 2), stops: 1 }, 7_000)).toBe(true)
      const store = await context.reopen()
      const [first, second] = await store.load('jobs', [1, 2], NO_LIMIT)
      expect(first).toMatchObject({ attempts: 2, stops: 1, dueAt: 7_000 })
      expect(second).toMatchObject({ attempts: 0, stops: 0, dueAt: undefined })
      await store.acknowledge('jobs', [1])
      expect(await store.recordFailure('jobs', record(1), 0)).toBe(false)
      expect(await seqs(store)).toEqual([2])
    })

    test('a failure that is recorded again because its answer was lost is in the history once', async () => {
      const { store } = await opened()
      await store.enqueue([message('a')])
      for (const [attempts, error] of [
        [1, 'first'],
        [2, 'second'],
      ] as const) {
        expect(await store.recordFailure('jobs', record(1, attempts, error), 0)).toBe(true)
        expect(await store.recordFailure('jobs', record(1, attempts, error), 0)).toBe(true)
      }
      await store.deadLetter('jobs', record(1, 3, 'last'))
      await store.redriveMessage('jobs', 'a')
      await store.recordFailure('jobs', record(1, 1, 'first'), 0)
      await store.deadLetter('jobs', record(1, 2, 'second'))
      const [letter] = await store.deadLetters('jobs', 0, 1)
      const errors = ['first', 'second', 'last', 'first', 'second']
      expect(letter?.history.map(({ error }) => error)).toEqual(errors)
    })

    test('a dead letter keeps its error and its history, and counts apart', async () => {
      const context = await opened()
      await context.store.enqueue([message('a'), message('b')])
      await context.store.recordFailure('jobs', record(1, 1, 'first'), 0)
      await context.store.recordFailure(
        'jobs',
        { ...record(1, 1), stops: 1, failure: { kind: 'stopped', error: 'died', at: 6 } },
        0,
      )
      expect(
        await context.store.deadLetter('jobs', { ...record(1, 2), stops: 1, failure: failure('last', 9) }),
      ).toBe(true)
      expect(await context.store.deadLetter('jobs', record(1))).toBe(false)
      const store = await context.reopen()
      expect(await store.deadLetters('jobs', 0, 10)).toEqual([
        {
          seq: 1,
          id: 'a',
          functionId: 'job::run',
          group: undefined,
          data: '{"id":"a"}',
          attempts: 2,
          stops: 1,
          error: 'last',
          failedAt: 9,
          history: [failure('first'), { kind: 'stopped', error: 'died', at: 6 }, failure('last', 9)],
        },
      ])
      expect(await seqs(store)).toEqual([2])
      expect(await store.counts('jobs')).toEqual({ depth: 1, dead: 1 })
    })

    test('dead letters beyond the wanted length come without data and earlier failures, the first one whole', async () => {
      const { store } = await opened()
      const data = JSON.stringify('é'.repeat(1_000))
      await store.enqueue(['a', 'b', 'c'].map((id) => message(id, { data })))
      await store.recordFailure('jobs', record(3), 0)
      await bury(store, 1, 2, 3)
      const cutOf = async (maxLength: number) =>
        (await store.deadLetters('jobs', 0, 10, 0, maxLength)).map((letter) => letter.cut !== undefined)
      expect(await cutOf(10_000)).toEqual([false, false, false])
      expect(await cutOf(3_000)).toEqual([false, false, true])
      expect(await cutOf(1)).toEqual([false, true, true])
      expect(await cutOf(0)).toEqual([true, true, true])
      const [, , last] = await store.deadLetters('jobs', 0, 10, 0, 0)
      expect(last).toMatchObject({ id: 'c', data: '', cut: { bytes: 2_002 } })
      expect(last?.history).toHaveLength(1)
    })

    test("one dead letter is found by its id, whole; none that is another queue's or is gone", async () => {
      const { store } = await opened()
      const data = JSON.stringify('é'.repeat(1_000))
      await store.enqueue([message('a'), message('b', { data }), message('c')])
      await store.enqueue([message('b', { queue: 'other' })])
      await bury(store, 1, 2)
      const found = await store.findDeadLetter('jobs', 'b')
      expect(found).toMatchObject({ seq: 2, id: 'b', data, attempts: 3, history: [{ error: 'no' }] })
      for (const id of ['c', 'nobody']) expect(await store.findDeadLetter('jobs', id)).toBeUndefined()
      for (const queue of ['other', 'unknown']) expect(await store.findDeadLetter(queue, 'b')).toBeUndefined()
      await store.discard('jobs', 'b')
      expect(await store.findDeadLetter('jobs', 'b')).toBeUndefined()
    })

    test('the history keeps the newest failures only', async () => {
      const { store } = await opened()
      await store.enqueue([message('a')])
      for (let attempt = 1; attempt <= 30; attempt += 1) {
        await store.recordFailure('jobs', record(1, attempt, `error ${attempt}`), 0)
      }
      await store.deadLetter('jobs', record(1, 31, 'error 31'))
      const [letter] = await store.deadLetters('jobs', 0, 1)
      expect(letter?.history.map(({ error }) => error)).toEqual(
        Array.from({ length: 20 }, (_, index) => `error ${index + 12}`),
      )
    })

    test('a purge deletes messages up to a seq, oldest first, a part at a time; dead letters stay', async () => {
      const context = await opened()
      const { store } = context
      await store.enqueue(['a', 'b', 'c', 'd', 'e'].map((id) => message(id)))
      await store.enqueue([message('x', { queue: 'other' })])
      await bury(store, 2)
      await store.recordFailure('jobs', record(1), 0)
      expect(await store.purge('jobs', 4, 2)).toBe(2)
      expect(await seqs(store)).toEqual([4, 5])
      expect(await store.purge('jobs', 4, 2)).toBe(1)
      expect(await store.purge('jobs', 4, 2)).toBe(0)
      expect(await store.purge('unknown', 4, 2)).toBe(0)
      expect(await store.recordFailure('jobs', record(1), 0)).toBe(false)
      const again = await context.reopen()
      expect(await seqs(again)).toEqual([5])
      expect(await again.counts('jobs')).toEqual({ depth: 1, dead: 1 })
      expect(await seqs(again, 'other')).toEqual([1])
      // A purged message is not accepted a second time.
      expect(await again.enqueue([message('a')])).toEqual([{ outcome: 'duplicate' }])
    })

    test('dead letters are listed in original order, page by page', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c', 'd'].map((id) => message(id)))
      await bury(store, 3, 1, 4)
      expect(await deadIds(store)).toEqual(['a', 'c', 'd'])
      expect((await store.deadLetters('jobs', 1, 1)).map(({ id }) => id)).toEqual(['c'])
      const [first] = await store.deadLetters('jobs', 0, 1)
      expect((await store.deadLetters('jobs', 0, 1, first?.seq)).map(({ id }) => id)).toEqual(['c'])
      expect(await store.deadLetters('other', 0, 10)).toEqual([])
    })

    test('redriven messages are back at their places, with fresh attempts', async () => {
      const { store } = await opened()
      await store.enqueue(
        ['a', 'b', 'c', 'd'].map((id) => message(id, { group: '"g"', traceparent: `t-${id}` })),
      )
      await bury(store, 3, 1)
      expect(await store.redrive('jobs', 10)).toBe(2)
      const { messages } = await store.read('jobs', 0, 10, NO_LIMIT)
      expect(messages.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
      expect(messages.map(({ traceparent }) => traceparent)).toEqual(['t-a', 't-b', 't-c', 't-d'])
      expect(messages[0]).toMatchObject({ attempts: 0, stops: 0, dueAt: undefined, group: '"g"' })
      expect(await store.counts('jobs')).toEqual({ depth: 4, dead: 0 })
    })

    test('a redriven message that dies again still knows its earlier failures', async () => {
      const { store } = await opened()
      await store.enqueue([message('a')])
      await store.deadLetter('jobs', record(1, 3, 'before'))
      await store.redriveMessage('jobs', 'a')
      await store.deadLetter('jobs', record(1, 1, 'after'))
      const [letter] = await store.deadLetters('jobs', 0, 1)
      expect(letter?.history.map(({ error }) => error)).toEqual(['before', 'after'])
    })

    test('redriving in parts takes the oldest first and ends', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c'].map((id) => message(id)))
      await bury(store, 1, 2, 3)
      expect(await store.redrive('jobs', 2)).toBe(2)
      expect(await deadIds(store)).toEqual(['c'])
      expect(await store.redrive('jobs', 2)).toBe(1)
      expect(await store.redrive('jobs', 2)).toBe(0)
    })

    test('of racing redrives and discards of one dead letter, one wins', async () => {
      const { store } = await opened()
      await store.enqueue([message('a')])
      await bury(store, 1)
      const outcomes = await Promise.all([
        store.redriveMessage('jobs', 'a'),
        store.discard('jobs', 'a'),
        store.redriveMessage('jobs', 'a'),
        store.redrive('jobs', 10),
      ])
      expect(outcomes).toEqual([true, false, false, 0])
      expect(await seqs(store)).toEqual([1])
      expect(await store.counts('jobs')).toEqual({ depth: 1, dead: 0 })
      await bury(store, 1)
      expect(await Promise.all([store.discard('jobs', 'a'), store.redriveMessage('jobs', 'a')])).toEqual([
        true,
        false,
      ])
      expect(await store.counts('jobs')).toEqual({ depth: 0, dead: 0 })
    })

    test('a dead letter is found in its own queue only', async () => {
      const { store } = await opened()
      await store.enqueue([message('a')])
      await bury(store, 1)
      expect(await store.redriveMessage('other', 'a')).toBe(false)
      expect(await store.discard('other', 'a')).toBe(false)
      expect(await store.redriveMessage('jobs', 'b')).toBe(false)
      expect(await deadIds(store)).toEqual(['a'])
    })

    test('definitions and pauses are kept; redefining keeps the messages', async () => {
      const context = await opened()
      await context.store.enqueue([message('a')])
      expect(await context.store.setPaused('jobs', true)).toBe(true)
      expect(await context.store.setPaused('nowhere', true)).toBe(false)
      const changed = {
        settings: parseQueueSettings('jobs', { concurrency: 3 }),
        subscription: { topic: 't', functionId: 'f', conditionFunctionId: undefined },
      }
      await context.store.define('jobs', changed)
      const store = await context.reopen()
      expect(await store.queues()).toEqual([
        { name: 'jobs', paused: true, tail: 1, depth: 1, dead: 0, oldestAt: expect.any(Number), ...changed },
        { name: 'other', paused: false, tail: 0, depth: 0, dead: 0, ...definition },
      ])
      expect((await store.queues(['other', 'nowhere'])).map(({ name }) => name)).toEqual(['other'])
      await store.define('a-last', definition)
      expect((await store.queues()).map(({ name }) => name)).toEqual(['a-last', 'jobs', 'other'])
      expect(await store.setPaused('jobs', false)).toBe(true)
      expect((await store.queues())[1]).toMatchObject({ name: 'jobs', paused: false })
    })

    test('a removed queue takes its messages along, part by part; its name can be used afresh', async () => {
      const { store } = await opened()
      await store.enqueue(['a', 'b', 'c', 'd', 'e'].map((id) => message(id)))
      await store.enqueue([message('x', { queue: 'other' })])
      await bury(store, 2)
      await store.recordFailure('jobs', record(1), 0)
      expect(await store.remove('jobs', 2)).toBe(false)
      expect(await store.remove('jobs', 2)).toBe(true)
      expect((await store.queues()).map(({ name }) => name)).toEqual(['other'])
      await store.define('jobs', definition)
      expect(await store.enqueue([message('a')])).toEqual([{ outcome: 'accepted', seq: 1 }])
      expect(await seqs(store, 'other')).toEqual([1])
    })

    test('after closing, nothing is accepted', async () => {
      const { store } = await opened()
      await store.close()
      await expect(store.enqueue([message('a')])).rejects.toMatchObject({ code: 'CQRS_CLOSED' })
    })
  })
}
