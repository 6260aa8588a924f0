import pino from 'pino'
import { expect, test } from 'vitest'
import { type Enqueue, FanOut, type FanOutMessage } from '../../src/command/fan-out.ts'

const silent = pino({ level: 'silent' })
const list = { projection: 'list', queue: 'list', functionId: 'proj::list' }
const stats = { projection: 'stats', queue: 'stats', functionId: 'proj::stats' }

/** An enqueue that answers when it is told to. */
function gate() {
  const sent: FanOutMessage[] = []
  const waiting: { resolve(): void; reject(error: Error): void }[] = []
  const enqueue: Enqueue = (_, message) => {
    sent.push(message)
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  }
  return { sent, enqueue, next: () => waiting.shift() }
}

const settled = () => new Promise(setImmediate)

test('every projection hears of an append through its own queue', async () => {
  const queues: string[] = []
  const fanOut = new FanOut(
    [list, stats],
    async ({ queue }, message) => void queues.push(`${queue}:${message.to}`),
    silent,
  )
  fanOut.appended(3)
  await fanOut.idle()
  expect(queues).toEqual(['list:3', 'stats:3'])
})

test('while a message is under way, later appends join the next one', async () => {
  const { sent, enqueue, next } = gate()
  const fanOut = new FanOut([list], enqueue, silent)
  for (const position of [1, 2, 5, 4]) fanOut.appended(position)
  expect(sent).toEqual([{ projection: 'list', from: 1, to: 1 }])
  next()?.resolve()
  await settled()
  expect(sent.at(-1)).toEqual({ projection: 'list', from: 2, to: 5 })
  next()?.resolve()
  await fanOut.idle()
  expect(sent).toHaveLength(2)
})

test('an append that is reported after a later one, whose message is done, stops nothing', async () => {
  const to: number[] = []
  const fanOut = new FanOut([list], async (_, message) => void to.push(message.to), silent)
  for (const position of [5, 4, 6]) {
    fanOut.appended(position)
    await fanOut.idle()
  }
  expect(to).toEqual([5, 6])
})

test('a slow queue holds up no other projection', async () => {
  const heard: string[] = []
  const fanOut = new FanOut(
    [list, stats],
    ({ queue }) =>
      queue === 'list' ? new Promise(() => undefined) : Promise.resolve(void heard.push(queue)),
    silent,
  )
  fanOut.appended(1)
  await settled()
  fanOut.appended(2)
  await settled()
  expect(heard).toEqual(['stats', 'stats'])
})

test('a message that fails is not sent again, and the next append is announced all the same', async () => {
  const { sent, enqueue, next } = gate()
  const fanOut = new FanOut([list], enqueue, silent)
  fanOut.appended(1)
  next()?.reject(new Error('no queue'))
  await fanOut.idle()
  fanOut.appended(2)
  next()?.resolve()
  await fanOut.idle()
  expect(sent.map(({ to }) => to)).toEqual([1, 2])
})

test('an outage of the queue is logged once, and so is its end', async () => {
  const logged: string[] = []
  const log = pino({ base: undefined }, { write: (line: string) => void logged.push(JSON.parse(line).level) })
  let up = false
  const fanOut = new FanOut(
    [list],
    () => (up ? Promise.resolve() : Promise.reject(new Error('no queue'))),
    log,
  )
  for (const position of [1, 2, 3, 4]) {
    up = position > 2
    fanOut.appended(position)
    await fanOut.idle()
  }
  expect(logged).toEqual([pino.levels.values.warn, pino.levels.values.info])
})

test('messages for one projection keep their distance, and the first after a pause goes at once', async () => {
  let now = 0
  const { sent, enqueue, next } = gate()
  const pauses: { ms: number; end(): void }[] = []
  const pause = (ms: number) => new Promise<void>((resolve) => pauses.push({ ms, end: resolve }))
  const fanOut = new FanOut([list], enqueue, silent, { intervalMs: 10, monotonic: () => now, pause })
  fanOut.appended(1)
  expect(sent.map(({ to }) => to)).toEqual([1])
  now = 3
  next()?.resolve()
  await settled()
  fanOut.appended(2)
  fanOut.appended(3)
  await settled()
  expect(sent).toHaveLength(1)
  expect(pauses.map(({ ms }) => ms)).toEqual([7])
  now = 10
  pauses[0]?.end()
  await settled()
  expect(sent.at(-1)).toEqual({ projection: 'list', from: 2, to: 3 })
  next()?.resolve()
  await fanOut.idle()
  now = 500
  fanOut.appended(4)
  expect(sent.map(({ to }) => to)).toEqual([1, 3, 4])
})
