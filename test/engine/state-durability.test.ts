import { type ChildProcess, fork } from 'node:child_process'
import { expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../../src/engine/logger.ts'
import { NOTHING } from '../../src/engine/outcome.ts'
import { StateQueue } from '../../src/engine/state/queue.ts'
import { StateStore } from '../../src/engine/state/store.ts'
import { RawWorker } from '../support/raw-worker.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

const PROGRAM = new URL('../support/engine-process.ts', import.meta.url)

/** Starts an engine process on a state file and connects to it. */
async function engineProcess(path: string): Promise<{ child: ChildProcess; worker: RawWorker }> {
  const child = fork(PROGRAM, [path])
  onTestFinished(() => void child.kill('SIGKILL'))
  const { url } = await new Promise<{ url: string }>((resolve) =>
    child.once('message', (told) => resolve(told as { url: string })),
  )
  return { child, worker: await RawWorker.connect(url) }
}

test('a state write that was answered is there after kill -9', async () => {
  const path = `${tempFolder()}/state.db`
  let acknowledged = 0
  for (const killAfter of [1, 40, 200]) {
    const { child, worker } = await engineProcess(path)
    const exited = new Promise((resolve) => child.once('exit', resolve))
    const start = acknowledged
    while (acknowledged < start + killAfter) {
      // Several at once, so that a kill meets writes that share a transaction.
      const keys = [acknowledged, acknowledged + 1, acknowledged + 2]
      const writes = keys.map((key) =>
        worker.call('state::set', { scope: 's', key: String(key), value: { key } }),
      )
      for (const write of await Promise.all(writes)) expect(write.error).toBeUndefined()
      acknowledged += keys.length
    }
    worker.send({
      type: 'invokefunction',
      function_id: 'state::set',
      data: { scope: 's', key: 'in flight', value: 1 },
    })
    child.kill('SIGKILL')
    await exited

    const engine = await engineForTest({ state: { path } })
    const reader = await workerForTest(engine)
    const values = (await reader.call('state::list', { scope: 's' })).result as { key?: number }[]
    const keys = values.flatMap((value) => (typeof value === 'object' ? [value.key] : []))
    expect(keys).toEqual(Array.from({ length: acknowledged }, (_, key) => key))
    await engine.close()
  }
})

test('a key that no store gives back as it was is refused, and takes the place of no other one', async () => {
  const worker = await workerForTest(await engineForTest())
  const set = (key: string, value: number) => worker.call('state::set', { scope: 's', key, value })
  for (const key of ['\ud800', '\ud801']) {
    expect((await set(key, 1)).error).toMatchObject({ code: 'deserialization_error' })
  }
  await set('\ufffd', 2)
  expect((await worker.call('state::list', { scope: 's' })).result).toEqual([2])
})

/** A store that counts its transactions. */
class CountingStore extends StateStore {
  transactions = 0

  override transaction<T>(work: () => T): T {
    this.transactions += 1
    return super.transaction(work)
  }
}

test('writes of one turn are one transaction; one that fails is undone and fails alone', async () => {
  const store = new CountingStore(undefined)
  onTestFinished(() => store.close())
  const queue = new StateQueue(store, silentLogger)
  const stored: string[] = []
  const write = (key: string, fails = false) =>
    queue.write(() => {
      store.set('s', key, '1')
      if (fails) throw new Error('the disk said no')
      return { outcome: NOTHING, after: () => stored.push(key) }
    })
  expect(await Promise.all([write('a'), write('b')])).toEqual([NOTHING, NOTHING])
  expect(store.transactions).toBe(1)
  const outcomes = await Promise.all([write('c'), write('d', true), write('e')])
  expect(outcomes).toMatchObject([{ ok: true }, { ok: false, error: { code: 'STATE_ERROR' } }, { ok: true }])
  expect(['a', 'b', 'c', 'd', 'e'].filter((key) => store.get('s', key) !== undefined)).toEqual([
    'a',
    'b',
    'c',
    'e',
  ])
  expect(stored).toEqual(['a', 'b', 'c', 'e'])
})

test('a value over the limit is refused, and nothing is stored of it', async () => {
  const engine = await engineForTest({ state: { maxValueBytes: 100 } })
  const worker = await workerForTest(engine)
  const set = (value: unknown) => worker.call('state::set', { scope: 's', key: 'a', value })
  expect((await set('x'.repeat(99))).error).toMatchObject({ code: 'VALUE_TOO_LARGE' })
  expect((await worker.call('state::list', { scope: 's' })).result).toEqual([])
  expect((await set('x'.repeat(98))).error).toBeUndefined()
})

test('reads and writes of a worker take effect in the order in which it sent them', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const answers = await Promise.all([
    worker.call('state::set', { scope: 's', key: 'a', value: 1 }),
    worker.call('state::get', { scope: 's', key: 'a' }),
    worker.call('state::delete', { scope: 's', key: 'a' }),
    worker.call('state::get', { scope: 's', key: 'a' }),
  ])
  expect(answers.map((answer) => answer.result)).toEqual([{ old_value: null, new_value: 1 }, 1, 1, undefined])
})

test('numbers beyond 2^53 are stored and updated without rounding', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const texts: string[] = []
  worker.ws.on('message', (bytes) => texts.push(String(bytes)))
  const call = async (functionId: string, data: string): Promise<string> => {
    const from = texts.length
    const id = crypto.randomUUID()
    worker.sendText(
      `{"type":"invokefunction","invocation_id":"${id}","function_id":"${functionId}","data":${data}}`,
    )
    return until('the answer', () => texts.slice(from).find((text) => text.includes(id)))
  }
  await call(
    'state::set',
    '{"scope":"s","key":"a","value":{"id":12345678901234567890,"n":9007199254740993,"f":1.5}}',
  )
  const ops = '[{"type":"increment","path":"n","by":2},{"type":"increment","path":"f","by":1}]'
  expect(await call('state::update', `{"scope":"s","key":"a","ops":${ops}}`)).toContain(
    '"new_value":{"id":12345678901234567890,"n":9007199254740995,"f":2.5}',
  )
  expect(await call('state::get', '{"scope":"s","key":"a"}')).toContain(
    '"result":{"id":12345678901234567890,"n":9007199254740995,"f":2.5}',
  )
  await call('state::set', '{"scope":"s","key":"b","value":18446744073709551615}')
  const over = await call(
    'state::update',
    '{"scope":"s","key":"b","ops":[{"type":"increment","path":"","by":1}]}',
  )
  expect(over).toContain('increment.not_number')
  expect(over).toContain('"new_value":18446744073709551615')
})
