import { expect, test } from 'vitest'
import type { Action } from '../../src/operator/action-store.ts'
import { renderActions } from '../../src/operator/cli/actions.ts'
import { renderLetter } from '../../src/operator/cli/dlq.ts'
import { renderEvent } from '../../src/operator/cli/events.ts'
import { renderStatus } from '../../src/operator/cli/status.ts'
import { cut, layOut, printable } from '../../src/operator/cli/table.ts'
import type {
  BuildStatus,
  LetterDetails,
  ProjectionStatus,
  SystemStatus,
} from '../../src/operator/contract.ts'

function status(...projections: Partial<ProjectionStatus>[]): SystemStatus {
  const calm: ProjectionStatus = {
    name: 'inventory-list',
    projection: 'inventory-list',
    kind: 'projection',
    version: 1,
    servingVersion: 1,
    generation: 1,
    frozen: false,
    damaged: null,
    paused: false,
    building: false,
    builds: [],
    position: 1_200,
    lag: 0,
    lagSeconds: 0,
    parked: { retrying: 0, dead: 0, waiting: 0 },
    effects: { pending: 0, dead: 0 },
    owned: true,
    waitsFor: null,
    queue: { depth: 0, deadLetters: 0 },
  }
  return {
    app: 'inventory',
    head: 1_234,
    takenAt: '2026-01-01T00:00:00.000Z',
    projections: projections.map((projection) => ({ ...calm, ...projection }) as ProjectionStatus),
  }
}

test('a calm system shows its positions and asks for nothing', () => {
  expect(renderStatus(status({}))).toEqual([
    'inventory: head at 1,234, 2026-01-01T00:00:00.000Z',
    '',
    'PROJECTION      STATE  POSITION  LAG  PARKED  DEAD  EFFECTS  QUEUE  DEAD LETTERS',
    'inventory-list  live      1,200    0       0     0        0      0             0',
  ])
})

test('a reactor whose effects are dead says so in its line', () => {
  const lines = renderStatus(status({ effects: { pending: 12, dead: 3 } }))
  expect(lines[3]).toMatch(/ live .* 12 \(3 dead\) /)
  expect(lines.at(-1)).toBe('3 failed for good and need a decision: cqrs dlq list')
})

test.each([
  [{ owned: false, lag: 3 }, 'no owner'],
  [{ owned: false, waitsFor: 4_711, frozen: true }, 'waits for 4711'],
  [{ lag: 34, parked: { retrying: 1, dead: 0, waiting: 0 } }, 'behind'],
  [{ parked: { retrying: 1, dead: 0, waiting: 2 } }, 'parked'],
])('the state of a projection is the worst that is true of it: %o', (projection, state) => {
  expect(renderStatus(status(projection))[3]).toContain(`  ${state}  `)
})

test.each([
  [{ version: 2, servingVersion: 2 }, 'inventory-list v2'],
  [{ version: 2, servingVersion: 1, frozen: true }, 'inventory-list v1 (code: v2)'],
])(
  'the version is that of the generation that serves, with that of the code if it differs: %o',
  (facts, name) => {
    expect(renderStatus(status(facts))[3]).toContain(`${name}  `)
  },
)

const folding: BuildStatus = {
  ...{ generation: 3, purpose: 'serve', phase: 'folding', position: 3_999, target: 12_000 },
  ...{ eventsPerSecond: 2_000, secondsLeft: 125, error: null },
}

test.each<[Partial<ProjectionStatus>, string]>([
  [{ frozen: true, lag: 3 }, 'frozen; rebuilding: folding, 33 %, 2 min 5 s left'],
  [{ damaged: 'list.1.db is damaged.' }, 'damaged; rebuilding: folding, 33 %, 2 min 5 s left'],
  [{}, 'live; rebuilding: folding, 33 %, 2 min 5 s left'],
  [{ builds: [{ ...folding, position: 11_999, secondsLeft: null }] }, 'live; rebuilding: folding, 99 %'],
  [
    { builds: [{ ...folding, phase: 'waiting', position: 0, target: 0, secondsLeft: null }] },
    'live; rebuilding: waiting',
  ],
  [
    {
      builds: [
        folding,
        { ...folding, purpose: 'verify', phase: 'following', position: 12_003, secondsLeft: 0 },
      ],
    },
    'live; rebuilding: folding, 33 %, 2 min 5 s left; verifying: following, 100 %, 0 s left',
  ],
  [{ owned: false }, 'no owner'],
])('what is being built stands behind the state: %o', (projection, state) => {
  expect(renderStatus(status({ building: true, builds: [folding], ...projection }))[3]).toContain(
    `  ${state}  `,
  )
})

test.each<[Partial<ProjectionStatus>, string]>([
  [{ paused: true }, '"cqrs projections resume inventory-list" ends the pause'],
  [{ frozen: true }, 'Start the code that it belongs to, or replace it: "cqrs rebuild inventory-list".'],
  [{ frozen: true, servingVersion: 2 }, 'replace the operator worker, too'],
  [{ frozen: true, building: true, builds: [folding] }, 'The rebuild that is under way will replace it.'],
])('a view that stands still is told with what to do, once for all its parts: %o', (projection, says) => {
  const lines = renderStatus(
    status({ ...projection, name: 'inventory-list.0' }, { ...projection, name: 'inventory-list.1' }),
  )
  expect(lines.filter((line) => line.includes(says))).toHaveLength(1)
})

test('why a build cannot go on is said once, however many parts the projection has', () => {
  const builds = [{ ...folding, error: 'the disk is full' }]
  const part = (index: number) => ({ name: `inventory-list.${index}`, building: true, builds })
  const lines = renderStatus(status(part(0), part(1)))
  expect(lines[3]).toContain('  live; rebuilding: cannot go on  ')
  expect(lines.slice(5)).toEqual(['', 'inventory-list generation 3: the disk is full'])
})

test('what needs a decision is counted over queue, parked events and effects', () => {
  const lines = renderStatus(
    status(
      { parked: { retrying: 0, dead: 2, waiting: 5 }, queue: { depth: 0, deadLetters: 3 } },
      { effects: { pending: 0, dead: 1 } },
    ),
  )
  expect(lines.at(-1)).toBe('6 failed for good and need a decision: cqrs dlq list')
})

test('a missing queue worker is not shown as an empty queue', () => {
  const lines = renderStatus(status({ queue: null }))
  expect(lines[3]).toMatch(/-\s+-$/)
  expect(lines.at(-1)).toContain('No queue worker answers')
})

test('columns are as wide as their widest cell, colour codes not counted', () => {
  const red = (text: string) => `\x1b[31m${text}\x1b[39m`
  expect(
    layOut(
      [
        { title: 'A', cell: ([first]: [string, number]) => red(first) },
        { title: 'B', align: 'right', cell: ([, second]) => String(second) },
      ],
      [
        ['long', 1],
        ['x', 100],
      ],
    ),
  ).toEqual(['A       B', `${red('long')}    1`, `${red('x')}     100`])
})

const action: Action = {
  id: 12,
  begunAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:00:01.000Z',
  outcome: 'done',
  operation: 'ops::dlq-discard',
  by: 'ada',
  from: 'http from 10.0.0.1 with curl/8.5.0, which is a rather long name',
  input: { id: 'parked:inventory-list:42', reason: 'an item of a test that nobody needs any more' },
  result: { discarded: 1, incomplete: [], unavailable: [] },
}

test.each([60, 80, 100, 132, 200])(
  'a table fits a terminal of %s columns, with every column in it',
  (width) => {
    const lines = renderActions([action, { ...action, id: 13, outcome: 'failed' }], width)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(width)
    const text = lines.join('\n')
    for (const title of ['ID', 'BEGUN AT', 'OUTCOME', 'OPERATION', 'BY', 'FROM', 'INPUT', 'RESULT']) {
      expect(text).toMatch(new RegExp(`\\b${title}\\b`))
    }
    // What is shortened keeps its beginning; names, numbers and times stay whole.
    for (const whole of [
      'ops::dlq-discard',
      '2026-01-01T00:00:00.000Z',
      'failed',
      '{"discarded":1,',
      '{"id":"parked:',
    ]) {
      expect(text).toContain(whole)
    }
  },
)

test('for a pipe every row is one line, and nothing is shortened', () => {
  const lines = renderActions([action], Number.POSITIVE_INFINITY)
  expect(lines).toHaveLength(2)
  expect(lines[1]).toContain(JSON.stringify(action.input))
  expect(lines[1]).toContain(action.from)
  expect(lines.join()).not.toContain('…')
})

test('on a terminal of 80 columns a title is broken before a row is', () => {
  expect(renderStatus(status({ name: 'inventory-alert' }), 80).slice(2)).toEqual([
    '                                                                        DEAD',
    'PROJECTION       STATE  POSITION  LAG  PARKED  DEAD  EFFECTS  QUEUE  LETTERS',
    'inventory-alert  live      1,200    0       0     0        0      0        0',
  ])
})

test('data cannot steer the terminal of the operator', () => {
  expect(printable('a\x1b[2Jb\u202Ec\x07')).toBe('ab\uFFFDc\uFFFD')
  expect(cut('one\ntwo', 6)).toBe('one t…')
})

test('an event is one line', () => {
  const event = {
    position: 7,
    id: 'x',
    stream: 'inventory-item-a\nb',
    version: 2,
    type: 'inventory-item-sold',
    schemaVersion: 1,
    data: { text: 'one\ntwo' },
    metadata: { commandId: 'c', correlationId: 'c' },
    recordedAt: '2026-01-01T00:00:00.000Z',
  }
  expect(renderEvent(event, Number.POSITIVE_INFINITY)).toBe(
    '       7  2026-01-01T00:00:00.000Z  inventory-item-sold  inventory-item-a b@2  {"text":"one\\ntwo"}',
  )
})

test('a letter shows what it is, why it failed, and what waits behind it', () => {
  const letter: LetterDetails = {
    id: 'parked:inventory-list:42',
    source: 'parked',
    name: 'inventory-list',
    what: 'inventory-item-sold',
    status: 'dead',
    error: 'boom',
    attempts: 5,
    failedAt: '2026-01-01T00:00:00.000Z',
    fingerprint: '4f1a09c2b7de',
    waiting: 3,
    content: { position: 42 },
    failures: [{ at: '2026-01-01T00:00:00.000Z', message: 'boom', stack: 'Error: boom\n    at apply' }],
    behind: [43, 44],
  }
  const text = renderLetter(letter).join('\n')
  expect(text).toContain('dead since 2026-01-01T00:00:00.000Z after 5 attempts: boom')
  expect(text).toContain('3 wait behind it: 43, 44 and more')
  expect(renderLetter({ ...letter, waiting: 1, behind: [43] })).toContain('1 waits behind it: 43')
  expect(text).toContain('"position": 42')
  expect(text).toContain('    at apply')
  const effect = renderLetter({ ...letter, attempts: 1, failures: { message: 'refused' } })
  expect(effect).toContain('dead since 2026-01-01T00:00:00.000Z after 1 attempt: boom')
  expect(effect.at(-1)).toBe('  refused')
})
