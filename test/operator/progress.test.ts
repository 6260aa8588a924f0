import { expect, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import { createContext } from '../../src/operator/cli/context.ts'
import type { CallOperation } from '../../src/operator/cli/operations.ts'
import { bar, duration, progressLine } from '../../src/operator/cli/progress-bar.ts'
import { watchGeneration } from '../../src/operator/cli/watch-generation.ts'
import type { GenerationDetails } from '../../src/operator/generations-contract.ts'

const folding: Partial<GenerationDetails> = {
  generation: 2,
  state: 'building',
  phase: 'folding',
  position: 4_000,
  target: 12_000,
  eventsPerSecond: 1_999.6,
  secondsLeft: 4,
  error: null,
}

const FOLDING = 'list generation 2: folding, 4,000 of 12,000, 2,000 events/s, 4 s left'
const DONE = 'list generation 2: active, 12,000 of 12,000'
const done: Partial<GenerationDetails> = {
  ...folding,
  state: 'active',
  phase: 'following',
  position: 12_000,
  eventsPerSecond: 0,
  secondsLeft: null,
}

test('the bar is as full as the part of the whole, and never longer than it is', () => {
  const full = (part: number, whole: number) => bar(part, whole).replaceAll('░', '').length
  expect(bar(1, 3)).toBe(`${'█'.repeat(10)}${'░'.repeat(20)}`)
  expect([full(0, 3), full(2, 3), full(3, 3), full(4, 3), full(0, 0)]).toEqual([0, 20, 30, 30, 30])
  expect(full(99_999, 100_000)).toBe(29)
})

test.each<[Partial<GenerationDetails>, string]>([
  [{}, FOLDING],
  [{ secondsLeft: null }, 'list generation 2: folding, 4,000 of 12,000, 2,000 events/s'],
  [
    { phase: 'waiting', position: 0, target: 0, eventsPerSecond: 0, secondsLeft: null },
    'list generation 2: waiting',
  ],
  [
    { phase: 'indexing', eventsPerSecond: 0, secondsLeft: null, error: 'the disk is full' },
    'list generation 2: indexing, 4,000 of 12,000: the disk is full',
  ],
  [done, DONE],
])('a line tells what is known: %o', (change, line) => {
  expect(progressLine('list', { ...folding, ...change } as GenerationDetails)).toBe(line)
})

test.each([
  [0, '0 s'],
  [59, '59 s'],
  [60, '1 min 0 s'],
  [3_599, '59 min 59 s'],
  [3_600, '1 h 0 min'],
  [90_061, '25 h 1 min'],
])('%i seconds are %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

/** Watches a generation that is found like this, one look after the other. */
async function watch(
  found: Partial<GenerationDetails>[],
  options: { isTTY: boolean; json?: boolean },
  columns = 120,
) {
  let written = ''
  const write = (text: string) => {
    written += text
    return true
  }
  const stdout = { isTTY: options.isTTY, columns, write }
  const context = createContext({ env: {}, stdout, stderr: { write } } as never, () => undefined)
  const left = [...found]
  const call = (async () => ({ projections: [{ generations: [left.shift()] }] })) as unknown as CallOperation
  const watched = await watchGeneration(call, context, { projection: 'list', generation: 2 }, options)
  return { watched, written }
}

test('on a terminal one line is drawn over and over, and left at the end', async () => {
  const { watched, written } = await watch([folding, done], { isTTY: true })
  expect(written).toBe(`\r\x1b[K${bar(1, 3)} ${FOLDING}\r\x1b[K${bar(1, 1)} ${DONE}\n`)
  expect(watched).toEqual({ kind: 'ended', generation: done })
})

test('a line is no longer than the terminal, where it would go on below and not be drawn over', async () => {
  const { written } = await watch([folding, done], { isTTY: true }, 50)
  const lines = written.split('\r\x1b[K').map((line) => line.trimEnd())
  expect(Math.max(...lines.map(({ length }) => length))).toBe(50)
})

test('elsewhere there are lines without a bar, and none twice', async () => {
  const { written } = await watch([folding, folding, done], { isTTY: false })
  expect(written).toBe(`${FOLDING}\n${DONE}\n`)
})

test('with --json there are objects, on a terminal as well', async () => {
  const { written } = await watch([folding, done], { isTTY: true, json: true })
  expect(
    written
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { projection: 'list', ...folding },
    { projection: 'list', ...done },
  ])
})

test('Ctrl-C ends the watching of a system that is away, or does not answer', async () => {
  const away = async () => {
    throw new CqrsError('CQRS_ENGINE_UNREACHABLE', 'No engine answers.')
  }
  const silent = () => new Promise<never>(() => {})
  for (const answer of [away, silent]) {
    const asked = Promise.withResolvers<void>()
    const call = (() => {
      asked.resolve()
      return answer()
    }) as unknown as CallOperation
    const stdout = { isTTY: false, columns: 120, write: () => true }
    const context = createContext({ env: {}, stdout, stderr: stdout } as never, () => undefined)
    const others = process.listeners('SIGINT')
    const watched = watchGeneration(call, context, { projection: 'list', generation: 2 }, {})
    await asked.promise
    const pressed = process.listeners('SIGINT').find((listener) => !others.includes(listener))
    pressed?.('SIGINT')
    expect(await watched).toEqual({ kind: 'interrupted' })
    expect(process.listeners('SIGINT')).toEqual(others)
  }
})
