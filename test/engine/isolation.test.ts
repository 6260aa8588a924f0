import { expect, test } from 'vitest'
import { RawWorker } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest, workerForTest } from './start.ts'

test('fifty workers call each other while others come, break and go; every answer is the right one', async () => {
  const engine = await engineForTest()
  const workers = await Promise.all(Array.from({ length: 50 }, () => workerForTest(engine)))
  await Promise.all(
    workers.map((worker, n) => worker.offer(`ring::${n}`, (data) => [n, (data as { k: number }).k])),
  )

  let running = true
  const trouble = (async () => {
    for (let n = 0; running; n += 1) {
      const visitor = await RawWorker.connect(engine.url)
      visitor.send({ type: 'registerfunction', id: `visitor::${n}` })
      visitor.send({ type: 'registertriggertype', id: 'visitor', description: 'breaks' })
      if (n % 2 === 0) visitor.sendText('{"type":')
      else visitor.terminate()
      await until('the visitor to be gone', () => visitor.closedWith !== undefined)
    }
  })()
  const rounds = 20
  const answers = await Promise.all(
    workers.flatMap((worker, n) =>
      Array.from({ length: rounds }, async (_, k) => {
        const target = (n + k) % workers.length
        const answer = await worker.call(`ring::${target}`, { k })
        return [answer.result, [target, k]]
      }),
    ),
  )
  running = false
  await trouble
  expect(answers).toHaveLength(workers.length * rounds)
  for (const [got, expected] of answers) expect(got).toEqual(expected)
})

test('when a worker dies nothing of it is left', async () => {
  const engine = await engineForTest()
  const [mortal, caller] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const before = await snapshot(caller)
  await mortal.call('engine::workers::register', { name: 'mortal', pid: 1, runtime: 'test' })
  await mortal.offer('mortal::f', () => new Promise(() => {}))
  mortal.send({ type: 'registertriggertype', id: 'mortal', description: 'mortal' })
  mortal.send({
    type: 'registertrigger',
    id: 'a',
    trigger_type: 'http',
    function_id: 'mortal::f',
    config: { api_path: '/m' },
  })
  mortal.send({
    type: 'registertrigger',
    id: 'b',
    trigger_type: 'subscribe',
    function_id: 'mortal::f',
    config: { topic: 't' },
  })
  await mortal.settled()
  expect(await snapshot(caller)).not.toEqual(before)
  const stopped = caller.call('mortal::f', {})
  mortal.terminate()
  expect((await stopped).error).toMatchObject({ code: 'invocation_stopped' })
  expect(await snapshot(caller)).toEqual(before)
  expect((await fetch(`${engine.httpUrl}/m`)).status).toBe(404)
})

test('that a worker ended before it took a notice of the engine is not worth a line in the log', async () => {
  const levels: string[] = []
  const note = (level: string) => (fields: object) => {
    if ('code' in fields && fields.code === 'invocation_stopped') levels.push(level)
  }
  const logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }
  const engine = await engineForTest({ logger })
  const watcher = await workerForTest(engine)
  const told = Promise.withResolvers<void>()
  await watcher.offer('watcher::told', () => {
    told.resolve()
    return new Promise(() => {})
  })
  watcher.send({
    type: 'registertrigger',
    id: 'w',
    trigger_type: 'engine::workers-available',
    function_id: 'watcher::told',
    config: {},
  })
  await watcher.settled()
  await workerForTest(engine)
  await told.promise
  watcher.terminate()
  await until('the engine has noticed', () => levels.length > 0)
  expect(new Set(levels)).toEqual(new Set(['debug']))
})

test('a subscriber that leaves takes only its own subscription along', async () => {
  const engine = await engineForTest()
  const [one, two] = await Promise.all([workerForTest(engine), workerForTest(engine)])
  const seen: unknown[] = []
  for (const [worker, name] of [
    [one, 'one'],
    [two, 'two'],
  ] as const) {
    await worker.offer(`sub::${name}`, (data) => seen.push([name, data]))
    worker.send({
      type: 'registertrigger',
      id: name,
      trigger_type: 'subscribe',
      function_id: `sub::${name}`,
      config: { topic: 't' },
    })
    await worker.settled()
  }
  one.send({ type: 'unregistertrigger', id: 'one' })
  await one.settled()
  await one.call('publish', { topic: 't', data: 7 })
  await until('the one that is left', () => seen.length === 1)
  expect(seen).toEqual([['two', 7]])
})

/** What workers can see of the engine. */
async function snapshot(worker: RawWorker): Promise<unknown[]> {
  const names = ['functions::list', 'workers::list', 'triggers::list', 'registered-triggers::list']
  const answers = await Promise.all(
    names.map((name) => worker.call(`engine::${name}`, { include_internal: true })),
  )
  return answers.map((answer) =>
    JSON.parse(JSON.stringify(answer.result, (key, value) => (key === 'active_invocations' ? 0 : value))),
  )
}
