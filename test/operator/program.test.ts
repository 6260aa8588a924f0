import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startEngine } from '../../src/engine/engine.ts'
import type { EventsRequest } from '../../src/operator/contract.ts'
import { operatorAnswers } from '../support/operator-answers.ts'
import { startProgram } from '../support/program.ts'
import { functionKnown, sdkWorker } from '../support/sdk-worker.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/** A log of `head` events, every third of type `c`, read as the operator role reads it. */
function logOf(head: () => number) {
  return ({ after = 0, limit = 100, types }: EventsRequest) => {
    const events = []
    let next = after
    while (next < head() && events.length < limit) {
      next += 1
      const type = next % 3 === 0 ? 'c' : 'a'
      if (types && !types.includes(type)) continue
      events.push({ position: next, type, stream: 's', version: next, data: { n: next }, recordedAt: 'now' })
    }
    return { events, head: head(), next }
  }
}

const positions = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).position)

test('answers are asked for as text, so that no engine on the way can write their numbers and keys anew', async () => {
  // Read with JSON.parse, the key of the second would become that of the first.
  const events = ['\\\\', '\\"'].map(
    (key, index) => `{"position":${index + 1},"type":"t","data":{"b":948.8194787570415,"${key}":1,"a":1}}`,
  )
  const { run } = await operatorAnswers({
    'ops::events': (_input, metadata) => {
      expect(metadata).toMatchObject({ answer: 'text' })
      return `{"events":[${events}],"head":2,"next":2}`
    },
    'ops::status': () => '{"app":"shop","head":2,"projections":[]}',
  })
  expect((await run('events', 'tail', '--from', '1', '--json')).stdout).toBe(`${events.join('\n')}\n`)
  const exported = await run('events', 'export', '-')
  expect(exported.stdout.split('\n').slice(1, 3)).toEqual(events)
})

test('events tail shows the last events, or those from a position on, one JSON object per line', async () => {
  const { run } = await operatorAnswers({ 'ops::events': logOf(() => 1_200) })
  const last = await run('events', 'tail', '--limit', '3', '--json')
  expect(last).toMatchObject({ exitCode: 0, stderr: '' })
  expect(positions(last.stdout)).toEqual([1_198, 1_199, 1_200])
  const from = await run('events', 'tail', '--from', '2', '--limit', '700', '--json')
  expect(positions(from.stdout)).toEqual(Array.from({ length: 700 }, (_, index) => index + 2))
})

test('events tail with a filter shows the last events that fit, however far back they are', async () => {
  const { run } = await operatorAnswers({ 'ops::events': logOf(() => 1_201) })
  const { stdout } = await run('events', 'tail', '--type', 'c', '--limit', '2', '--json')
  expect(positions(stdout)).toEqual([1_197, 1_200])
})

test('events tail that finds no event says so on standard error', async () => {
  const { run } = await operatorAnswers({ 'ops::events': logOf(() => 5) })
  const none = { exitCode: 0, stdout: '', stderr: 'There is no such event.\n' }
  expect(await run('events', 'tail', '--type', 'nope')).toMatchObject(none)
  expect(await run('events', 'tail', '--from', '9', '--json')).toMatchObject(none)
  expect(await run('events', 'tail', '--limit', '0')).toMatchObject({ ...none, stderr: '' })
})

test('events tail --follow goes on with what is new, and leaves nothing out', async () => {
  let head = 5
  const { start } = await operatorAnswers({ 'ops::events': logOf(() => head) })
  const { output } = start('events', 'tail', '--follow', '--limit', '1', '--json')
  await until('the last event is shown', () => output.stdout.includes('"position":5'))
  head = 8
  await until('the new ones are shown', () => output.stdout.includes('"position":8'))
  expect(positions(output.stdout)).toEqual([5, 6, 7, 8])
})

test('events tail --follow goes on as soon as an engine that died is back', async () => {
  const asked = Promise.withResolvers<void>()
  const first = await startEngine({ port: 0, http: false })
  const worker = await sdkWorker(first.url)
  let calls = 0
  // The third one is under way when the engine goes: its answer has no way back.
  worker.registerFunction('ops::events', async (input: EventsRequest) => {
    calls += 1
    if (calls === 3) {
      asked.resolve()
      await new Promise<never>(() => {})
    }
    return logOf(() => (calls < 3 ? 5 : 8))(input)
  })
  await functionKnown(worker, 'ops::events')
  const { output } = startProgram(['events', 'tail', '--follow', '--json'], tempFolder(), {
    III_URL: first.url,
  })
  await asked.promise
  await first.close()
  const second = await startEngine({ port: Number(new URL(first.url).port), http: false })
  onTestFinished(() => second.close())
  await until('the new events are shown', () => output.stdout.includes('"position":8'), 15_000)
  expect(positions(output.stdout)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect(output.stderr).toContain('broke before ops::events was answered')
})

test('a program whose engine dies before the answer says so at once', async () => {
  const asked = Promise.withResolvers<void>()
  const engine = await startEngine({ port: 0, http: false })
  const worker = await sdkWorker(engine.url)
  worker.registerFunction('ops::rebuild', () => {
    asked.resolve()
    return new Promise<never>(() => {})
  })
  await functionKnown(worker, 'ops::rebuild')
  const run = startProgram(['rebuild', 'stock'], tempFolder(), { III_URL: engine.url })
  await asked.promise
  await engine.close()
  expect(await run.exited).toBe(3)
  expect(run.output.stderr).toContain('broke before ops::rebuild was answered. It may have been carried out')
})

test('what the system refuses is said without a stack, and ends with 1', async () => {
  const { run } = await operatorAnswers({
    'ops::dlq-show': () => {
      throw new Error('There is no letter queue:a:1.')
    },
  })
  const { exitCode, stdout, stderr } = await run('dlq', 'show', 'queue:a:1')
  expect({ exitCode, stdout, stderr }).toEqual({
    exitCode: 1,
    stdout: '',
    stderr: 'There is no letter queue:a:1.\n',
  })
})

test('redrive and discard tell the system exactly what was asked for', async () => {
  const asked: unknown[] = []
  const { run } = await operatorAnswers({
    'ops::dlq-redrive': (input) => {
      asked.push(input)
      return { redriven: 2 }
    },
    'ops::dlq-discard': (input) => {
      asked.push(input)
      return { discarded: 1 }
    },
  })
  expect((await run('dlq', 'redrive', '--name', 'inventory-list')).stdout).toBe('2 redriven.\n')
  expect((await run('dlq', 'discard', 'parked:a:4', '--reason', 'a test', '--json')).stdout).toContain(
    '"discarded": 1',
  )
  expect(asked).toMatchObject([{ name: 'inventory-list' }, { id: 'parked:a:4', reason: 'a test' }])
})

test('a redrive that had to leave letters out says whose on standard error, and ends with 1', async () => {
  const away = { source: 'parked', name: 'inventory-list', error: 'It stands still.' }
  const { run } = await operatorAnswers({
    'ops::dlq-redrive': ({ after }: { after?: string }) =>
      after === undefined
        ? { redriven: 2, next: 'further', unavailable: ['parked'], incomplete: [away] }
        : { redriven: 1, next: null, unavailable: [], incomplete: [] },
    'ops::dlq-list': () => ({ letters: [], next: null, unavailable: ['parked'], incomplete: [away] }),
  })
  const stderr = 'Left out: parked events of inventory-list. It stands still.\n'
  expect(await run('dlq', 'redrive', '--all')).toMatchObject({ exitCode: 1, stdout: '3 redriven.\n', stderr })
  const json = await run('dlq', 'redrive', '--all', '--json')
  expect(json.exitCode).toBe(1)
  expect(JSON.parse(json.stdout)).toMatchObject({ redriven: 3, incomplete: [away] })
  const list = await run('dlq', 'list')
  expect(list).toMatchObject({ exitCode: 0, stdout: 'None among the letters examined so far.\n', stderr })
})

test('view get of a document that is not there says so, and ends with 1', async () => {
  const mug = { sku: 'mug-1' }
  const { run } = await operatorAnswers({
    'ops::view': ({ key }: { key: string }) => ({
      items: key === 'mug-1' ? [mug] : [],
      generation: 3,
      position: 42,
    }),
  })
  const stderr = 'generation 3 at position 42\n'
  const found = { exitCode: 0, stdout: `${JSON.stringify(mug)}\n`, stderr }
  expect(await run('view', 'get', 'inventory-list', 'mug-1')).toMatchObject(found)
  const json = await run('view', 'get', 'inventory-list', 'mug-1', '--json')
  expect(json).toMatchObject({ exitCode: 0, stderr: '' })
  expect(JSON.parse(json.stdout)).toEqual({ items: [mug], generation: 3, position: 42 })
  for (const flags of [[], ['--json']]) {
    expect(await run('view', 'get', 'inventory-list', 'nope', ...flags)).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: 'CQRS_NOT_FOUND: Generation 3 of inventory-list has no document nope at position 42.\n',
    })
  }
  const none = await run('view', 'find', 'inventory-list', '--json')
  expect(none.exitCode).toBe(0)
})

test('a redrive whose cause is still there says what failed again and why, and ends with 1', async () => {
  const failed = (id: string) => ({ id, error: 'no such shelf' })
  const { run } = await operatorAnswers({
    'ops::dlq-redrive': ({ id, after }: { id?: string; after?: string }) => {
      if (id) return { redriven: 0, failed: 1, failures: [failed(id)] }
      return after === undefined
        ? { redriven: 2, failed: 30, failures: [failed('parked:a:1')], next: 'further' }
        : { redriven: 1, next: null }
    },
  })
  expect(await run('dlq', 'redrive', 'parked:a:7')).toMatchObject({
    exitCode: 1,
    stdout: '0 redriven, 1 tried and failed again.\n',
    stderr: 'Failed again: parked:a:7  no such shelf\n',
  })
  expect(await run('dlq', 'redrive', '--name', 'a')).toMatchObject({
    exitCode: 1,
    stdout: '3 redriven, 30 tried and failed again.\n',
    stderr: 'Failed again: parked:a:1  no such shelf\nFailed again: 29 more\n',
  })
  const json = await run('dlq', 'redrive', '--name', 'a', '--json')
  expect(json).toMatchObject({ exitCode: 1, stderr: '' })
  expect(JSON.parse(json.stdout)).toMatchObject({ redriven: 3, failed: 30, failures: [failed('parked:a:1')] })
})

test('an engine without an operator worker is told apart from no engine', async () => {
  const { run } = await operatorAnswers({})
  const { exitCode, stderr } = await run('status')
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(/no operator worker is connected.*cqrs worker operator/)
})

test('a reader that is slow misses nothing', async () => {
  const fat = (position: number) => ({ position, type: 'a', data: 'x'.repeat(10_000) })
  const { start } = await operatorAnswers({
    'ops::events': () => ({
      events: Array.from({ length: 500 }, (_, index) => fat(index + 1)),
      head: 500,
      next: 500,
    }),
  })
  const {
    process: program,
    output,
    exited,
  } = start('events', 'tail', '--from', '1', '--limit', '500', '--json')
  await until('it prints', () => output.stdout.length > 0)
  program.stdout?.pause()
  // A program that does not wait for its reader ends here and takes what is not read yet with it.
  await Promise.race([once(program, 'exit'), delay(1_000)])
  program.stdout?.resume()
  expect(await exited).toBe(0)
  expect(positions(output.stdout)).toHaveLength(500)
})

test('a reader that closes the pipe early ends the program quietly', async () => {
  const { start } = await operatorAnswers({ 'ops::events': logOf(() => 100_000) })
  const {
    process: program,
    output,
    exited,
  } = start('events', 'tail', '--from', '1', '--limit', '100000', '--json')
  await until('it prints', () => output.stdout.length > 0)
  program.stdout?.destroy()
  expect([await exited, output.stderr]).toEqual([0, ''])
})

test('an export of more than the log has leaves no file, and ends with 1', async () => {
  const { run } = await operatorAnswers({ 'ops::status': () => ({ app: 'shop', head: 3 }) })
  const file = join(tempFolder(), 'events.ndjson')
  const { exitCode, stderr } = await run('events', 'export', '--to', '9', file)
  expect([exitCode, stderr]).toEqual([1, 'CQRS_VALIDATION: to: 9 is beyond the log, which ends at 3\n'])
  expect(existsSync(file)).toBe(false)
})
