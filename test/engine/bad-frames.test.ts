import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFrame } from '../../src/engine/parse-frame.ts'
import type { Frame, RawWorker } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

/** A worker that must keep being served while another one misbehaves. */
async function witness(worker: RawWorker): Promise<() => Promise<void>> {
  await worker.offer('witness::echo', (data) => data)
  return async () => {
    expect((await worker.call('witness::echo', [1])).result).toEqual([1])
    expect(worker.closedWith).toBeUndefined()
  }
}

test.each([
  ['text that is no JSON', 'not json'],
  ['half a frame', '{"type":"ping"'],
  ['a list', '[]'],
  ['null', 'null'],
  ['a number', '7'],
])('%s closes its connection with 1007 and nobody else’s', async (_name, text) => {
  const engine = await engineForTest()
  const [bad, good] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const stillServed = await witness(good)
  bad.sendText(text)
  await until('the connection to close', () => bad.closedWith === 1007)
  await stillServed()
})

test.each([
  ['of an unknown type', { type: 'explode' }, 'unknown_frame_type'],
  ['without a type', { id: 'x' }, 'unknown_frame_type'],
  ['with a type that is no text', { type: { a: 1 } }, 'unknown_frame_type'],
  ['that registers a function without an id', { type: 'registerfunction' }, 'invalid_frame'],
  ['that registers a function with a number as id', { type: 'registerfunction', id: 7 }, 'invalid_frame'],
  [
    'that registers a trigger without a config',
    { type: 'registertrigger', id: 'a', trigger_type: 'b', function_id: 'c' },
    'invalid_frame',
  ],
  [
    'that registers a trigger type without a description',
    { type: 'registertriggertype', id: 'a' },
    'invalid_frame',
  ],
  ['that reattaches to nobody', { type: 'reattach' }, 'invalid_frame'],
  ['that calls without a function', { type: 'invokefunction', data: 1 }, 'invalid_frame'],
  ['that ends no call', { type: 'invocationresult', function_id: 'x' }, 'invalid_frame'],
])('a frame %s is answered with an error and the connection lives on', async (_name, frame, code) => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  worker.send(frame)
  const answer = await worker.next('the error', (candidate) => candidate.type === 'error')
  expect(answer.error).toMatchObject({ code, message: expect.any(String) })
  await worker.settled()
})

test.each([
  ['without data', {}],
  ['with an id that is no UUID', { invocation_id: 'seven', data: 1 }],
  ['with an unknown action', { data: 1, action: { type: 'teleport' } }],
  ['that enqueues to nowhere', { data: 1, action: { type: 'enqueue' } }],
  ['with a number as trace', { data: 1, traceparent: 7 }],
])('a call %s ends at once with an error', async (_name, fields) => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  const call = { type: 'invokefunction', invocation_id: randomUUID(), function_id: 'any::f', ...fields }
  worker.send(call)
  const answer = await worker.result((frame) => frame.invocation_id === call.invocation_id)
  expect(answer.error).toMatchObject({ code: 'invalid_frame' })
})

test('what nests deeper than the limit reaches no worker: its caller, or the caller it answers, gets an error', async () => {
  const engine = await engineForTest({ limits: { maxDepth: 20 } })
  const [caller, executor] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const stillServed = await witness(executor)
  const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown
  expect((await caller.call('witness::echo', nested(19))).result).toEqual(nested(19))
  expect((await caller.call('witness::echo', nested(20))).error).toMatchObject({ code: 'frame_too_deep' })
  const deep = `{"type":"invokefunction","invocation_id":"${randomUUID()}","function_id":"witness::echo","data":`
  caller.sendText(`${deep}${'['.repeat(10_000)}${']'.repeat(10_000)}}`)
  await until('the answer', () => caller.frames.filter((frame) => frame.error !== undefined).length === 2)
  await executor.offer('deep::answer', () => nested(20))
  expect((await caller.call('deep::answer', {})).error).toMatchObject({ code: 'frame_too_deep' })
  await stillServed()
})

test('a frame longer than the limit closes its connection with 1009', async () => {
  const engine = await engineForTest({ limits: { maxFrameBytes: 10_000 } })
  const [bad, good] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const stillServed = await witness(good)
  bad.send({ type: 'ping', padding: 'x'.repeat(10_000) })
  await until('the connection to close', () => bad.closedWith === 1009)
  await stillServed()
})

test('binary that is telemetry is dropped, binary that is a frame is taken, other binary closes its connection', async () => {
  const engine = await engineForTest()
  const worker = await workerForTest(engine)
  worker.ws.send(Buffer.from('MTRC{"anything":1}'))
  worker.ws.send(Buffer.from('{"type":"ping"}'))
  await worker.next('the pong', (frame) => frame.type === 'pong')
  worker.ws.send(Buffer.from([0, 255, 1, 254]))
  await until('the connection to close', () => worker.closedWith === 1007)
})

test('an error of any shape ends the call that it answers', async () => {
  const engine = await engineForTest()
  const [caller, executor] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  await executor.offer('odd::f', () => new Promise(() => {}))
  for (const [error, expected] of [
    ['just text', { code: 'invocation_failed', message: 'just text' }],
    [7, { code: 'invocation_failed', message: '7' }],
    [{ code: 1 }, { code: 'invocation_failed', message: expect.any(String) }],
    [
      { code: 'own', message: 'text', stacktrace: 1, more: 2 },
      { code: 'own', message: 'text' },
    ],
  ]) {
    executor.frames.length = 0
    const answer = caller.call('odd::f', {})
    const { invocation_id } = await executor.next('the call', (frame) => frame.type === 'invokefunction')
    executor.send({ type: 'invocationresult', invocation_id, function_id: 'odd::f', error })
    expect((await answer).error).toEqual(expected)
  }
})

test('a worker cannot end the call of another', async () => {
  const engine = await engineForTest()
  const workers = await Promise.all([workerForTest(engine), workerForTest(engine), workerForTest(engine)])
  const [caller, executor, forger] = workers
  let answer: (value: unknown) => void = () => {}
  await executor.offer('slow::f', () => new Promise((resolve) => (answer = resolve)))
  const call = caller.call('slow::f', {})
  const { invocation_id } = await executor.next('the call', (frame) => frame.type === 'invokefunction')
  forger.send({ type: 'invocationresult', invocation_id, function_id: 'slow::f', result: 'forged' })
  await forger.settled()
  answer('real')
  expect((await call).result).toBe('real')
})

test('two callers that use one invocation id both get their own answers', async () => {
  const engine = await engineForTest()
  const workers = await Promise.all([workerForTest(engine), workerForTest(engine), workerForTest(engine)])
  const [one, two, executor] = workers
  const answers: ((value: unknown) => void)[] = []
  await executor.offer('slow::f', () => new Promise((resolve) => answers.push(resolve)))
  const call = { type: 'invokefunction', invocation_id: randomUUID(), function_id: 'slow::f', data: {} }
  one.send(call)
  await until('the first call', () => answers.length === 1)
  two.send(call)
  await until('the second call', () => answers.length === 2)
  answers[1]?.('for two')
  answers[0]?.('for one')
  const mine = (frame: Frame) => frame.invocation_id === call.invocation_id
  expect((await one.result(mine)).result).toBe('for one')
  expect((await two.result(mine)).result).toBe('for two')
})

test('numbers beyond 2^53 and the spelling of numbers travel unchanged', async () => {
  const engine = await engineForTest()
  const [caller, executor] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const texts: string[] = []
  executor.ws.on('message', (bytes) => texts.push(String(bytes)))
  await executor.offer('big::f', () => 1)
  const data = '{"n":12345678901234567890,"f":1.0,"e":1e5}'
  caller.sendText(`{"type":"invokefunction","function_id":"big::f","data":${data}}`)
  const call = await until('the call', () => texts.find((text) => text.includes('"invokefunction"')))
  expect(call).toContain(`"data":${data.slice(0, -1)},"_caller_worker_id"`)
})

test('a key __proto__ in data is plain data to the engine', async () => {
  const engine = await engineForTest()
  const [caller, executor] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  await executor.offer('proto::f', (data) => Object.keys(data as object))
  const data = JSON.parse('{"__proto__":{"polluted":true},"_caller_worker_id":"forged"}') as unknown
  expect((await caller.call('proto::f', data)).result).toEqual(['__proto__', '_caller_worker_id'])
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

test('whatever the text, reading a frame gives a frame or says what is wrong with it', () => {
  const types = [
    'invokefunction',
    'invocationresult',
    'registerfunction',
    'registertrigger',
    'reattach',
    'ping',
    'x',
  ]
  const frames = fc.record(
    {
      type: fc.constantFrom(...types),
      id: fc.oneof(fc.string(), fc.jsonValue()),
      invocation_id: fc.oneof(fc.uuid(), fc.jsonValue()),
      function_id: fc.oneof(fc.string(), fc.jsonValue()),
      data: fc.jsonValue(),
      result: fc.jsonValue(),
      error: fc.jsonValue(),
      action: fc.oneof(fc.constant({ type: 'void' }), fc.jsonValue()),
      metadata: fc.jsonValue(),
    },
    { requiredKeys: ['type'] },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        frames.map((frame) => JSON.stringify(frame)),
      ),
      (text) => {
        const frame = parseFrame(text, 127)
        if (frame.type === 'bad') expect(frame.error.message).not.toBe('')
      },
    ),
    { numRuns: 2_000 },
  )
})
