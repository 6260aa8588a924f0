import { expect, test } from 'vitest'
import type { App } from '../../src/kernel/app.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import noApp from '../../src/kernel/no-app.ts'
import { readiness } from '../../src/operator/health.ts'
import { outdatedOperator } from '../../src/operator/outdated-operator.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'

const ENQUEUE = 'engine::queue::enqueue'
const limits = { maxLagMs: 30_000, minFreeBytes: 2_097_152, readyAnswerMs: 700 }

/** What is not as it should be in a system of one view whose log ends at 9. */
interface Trouble {
  log?: 'damaged'
  logHead?: 'unreadable'
  free?: number
  /** Functions that nobody has. */
  missing?: string[]
  engine?: 'away'
  position?: number
  /** Seconds since the events were stored, by the wall clock, and since the view was seen to be behind. */
  age?: number
  behindFor?: number
  dead?: { parked?: number; effects?: number; letters?: number }
  damaged?: string
  paused?: boolean
  served?: { version: number }
  building?: 'serve' | 'verify'
  waitsFor?: number
  queue?: 'silent'
  refusal?: string
  /** Processes that do not answer, and the damage that the one of the commands has met. */
  silent?: ('commands' | 'projections')[]
  met?: { message: string; agoMs: number; goesOn: boolean }
}

const unit = balances()

function system(trouble: Trouble): System {
  const { position = 9, age = 1, dead = {}, missing = [], served = { version: 1 } } = trouble
  const part = trouble.damaged === undefined ? {} : { error: trouble.damaged }
  const active = { ...served, generation: 1, partitions: 1, state: 'active', parts: [part] }
  const functions = [unit.functionId, 'cmd::deposit', 'query::balance', ENQUEUE]
    .filter((id) => !missing.includes(id))
    .map((function_id) => ({ function_id }))
  return {
    app: {
      name: 'ledger',
      commands: new Map([['deposit', {}]]),
      queries: new Map([['balance', {}]]),
      projections: new Map([['balances', unit]]),
    } as unknown as App,
    log: {
      head: async () => {
        if (trouble.logHead) throw new CqrsError('CQRS_STORE_CORRUPT', 'The log cannot be read.')
        return 9
      },
      readFrom: async () => {
        if (trouble.log) throw new CqrsError('CQRS_STORE_CORRUPT', 'The log has no event there.')
        return { events: [{ recordedAt: new Date(1_000_000 - age * 1_000).toISOString() }] }
      },
    },
    standing: async () => ({
      position,
      parked: { retrying: 0, dead: dead.parked ?? 0, waiting: 0 },
      effects: { pending: 0, dead: dead.effects ?? 0 },
    }),
    ask: async (id: string) => {
      if (trouble.engine) throw new CqrsError('CQRS_ENGINE_UNREACHABLE', 'No engine answers.')
      if (id === 'engine::functions::list') return { functions }
      if (trouble.queue) throw new CqrsError('CQRS_ENGINE_UNREACHABLE', 'Nobody answers in time.')
      return { depth: 0, dlq_depth: dead.letters ?? 0 }
    },
    control: {
      projection: async () => ({
        paused: trouble.paused ?? false,
        generations: [
          active,
          ...(trouble.building
            ? [{ ...active, generation: 2, state: 'building', purpose: trouble.building }]
            : []),
        ],
      }),
    },
    splitOtherwise: () =>
      trouble.waitsFor === undefined ? undefined : { pid: trouble.waitsFor || undefined },
    disk: async () => ({ free: trouble.free ?? 4_194_304, total: 8_388_608, refusal: trouble.refusal }),
    processes: async () => {
      const { silent = [], met } = trouble
      const workers = [
        { role: 'commands', state: 'at work', owns: [], ...(met && { damage: met }) },
        // Of what stands by nothing is asked.
        { role: 'commands', state: 'standing by', owns: [] },
        { role: 'queries', state: 'at work', owns: [] },
        { role: 'projections', state: 'at work', owns: ['balances'] },
      ]
      const answers = workers.filter(
        ({ role, state }) => state !== 'at work' || !silent.some((each) => each === role),
      )
      return { answers: answers.map((role) => ({ roles: [role] })), silent: silent.length }
    },
    behindFor: () => trouble.behindFor ?? 0,
    now: () => new Date(1_000_000),
  } as unknown as System
}

async function judged(trouble: Trouble) {
  const { status, parts } = await readiness(system(trouble), limits)
  return { status, bad: parts.filter(({ state }) => state !== 'ok') }
}

test('a system without trouble is ready, and has no reasons', async () => {
  expect(await judged({})).toEqual({ status: 'ready', bad: [] })
  // Somewhat behind is how a busy system looks.
  expect(await judged({ position: 4, age: 30 })).toEqual({ status: 'ready', bad: [] })
})

const view = 'projection balances'
const SILENT = 'its worker did not answer within 700 ms: it hangs or is busy; see "cqrs workers" and its log'
const RESUME = 'an operator paused it: "cqrs projections resume balances" ends the pause'
const REBUILD =
  'the generation that serves belongs to other code and stands still until "cqrs rebuild balances" replaces it'
const UNDER_WAY =
  'the generation that serves belongs to other code and stands still until the rebuild that is under way replaces it'

test.each<[string, Trouble, string]>([
  [view, { dead: { parked: 2 } }, '2 failed for good and need a decision: cqrs dlq list'],
  [view, { dead: { effects: 1 } }, '1 failed for good and need a decision: cqrs dlq list'],
  [view, { dead: { letters: 3 } }, '3 failed for good and need a decision: cqrs dlq list'],
  [
    view,
    { dead: { parked: 1, effects: 2, letters: 3 } },
    '6 failed for good and need a decision: cqrs dlq list',
  ],
  [view, { silent: ['projections'] }, SILENT],
  [view, { silent: ['projections'], paused: true }, `${SILENT}; ${RESUME}`],
  [
    'commands',
    { met: { message: 'A page is damaged.', agoMs: 0, goesOn: true } },
    'some requests fail: A page is damaged.',
  ],
  [
    'commands',
    { met: { message: 'A page is damaged.', agoMs: 30_001, goesOn: false } },
    'some requests fail: A page is damaged.',
  ],
  [view, { paused: true }, RESUME],
  [view, { paused: true, position: 4, age: 30 }, RESUME],
  [
    view,
    { paused: true, dead: { letters: 3 } },
    `${RESUME}; 3 failed for good and need a decision: cqrs dlq list`,
  ],
  [view, { served: { version: 0 } }, REBUILD],
  // This worker runs the code of before a deployment, and a rebuild would be one with that code.
  [view, { served: { version: 2 } }, outdatedOperator('balances', 2, 1)],
  [view, { served: { version: 0 }, building: 'serve' }, UNDER_WAY],
  [view, { served: { version: 0 }, building: 'verify' }, REBUILD],
  [
    'queue',
    { missing: [ENQUEUE] },
    'no queue worker is connected; projections go on from the log by their sweep',
  ],
  [
    'queue',
    { queue: 'silent' },
    'the queue worker did not answer within 700 ms; projections go on from the log by their sweep',
  ],
])('degraded: %s, %o', async (part, trouble, reason) => {
  expect(await judged(trouble)).toEqual({ status: 'degraded', bad: [{ part, state: 'degraded', reason }] })
})

const BEHIND = '31 s behind, 5 events; up to 30 s are allowed'
const late = { position: 4, age: 31 }

test.each<[string, Trouble, string]>([
  [
    'disk',
    { refusal: 'EROFS' },
    'nothing can be written to the data folder (EROFS): commands are refused; check the disk and the system log',
  ],
  [view, late, BEHIND],
  // The wall clock was set back by an hour since.
  [view, { position: 4, age: 31 - 3_600, behindFor: 31 }, BEHIND],
  [view, { ...late, paused: true }, `${RESUME}; ${BEHIND}`],
  [view, { ...late, served: { version: 0 } }, `${REBUILD}; ${BEHIND}`],
  [view, { ...late, served: { version: 0 }, building: 'serve' }, `${UNDER_WAY}; ${BEHIND}`],
  [view, { ...late, dead: { letters: 3 } }, BEHIND],
  [view, { missing: [unit.functionId] }, 'no worker owns it, so it does not advance; see "cqrs workers"'],
  [
    view,
    { missing: [unit.functionId], paused: true },
    'no worker owns it, so it does not advance; see "cqrs workers"',
  ],
  [
    view,
    { missing: [unit.functionId], waitsFor: 4_711 },
    'it waits for process 4711, whose code splits it into other partitions: stop that process',
  ],
  [
    view,
    { missing: [unit.functionId], waitsFor: 0 },
    'it waits for a worker, whose code splits it into other partitions: stop that process',
  ],
  [view, { damaged: 'The view is damaged.' }, 'The view is damaged.'],
  [view, { log: 'damaged', position: 4 }, 'the next event cannot be read: cqrs audit names what is wrong'],
  [
    'disk',
    { free: 1_048_576 },
    '1 MiB are free, less than the minimum of 2; free some space, no restart is needed',
  ],
  ['commands', { missing: ['cmd::deposit'] }, 'no worker has cmd::deposit'],
  ['commands', { silent: ['commands'] }, SILENT],
  [
    'commands',
    { met: { message: 'A page is damaged.', agoMs: 0, goesOn: false } },
    'the last request failed: A page is damaged.',
  ],
  [view, { ...late, silent: ['projections'] }, BEHIND],
  ['queries', { missing: ['query::balance'] }, 'no worker has query::balance'],
])('down: %s, %o', async (part, trouble, reason) => {
  expect(await judged(trouble)).toEqual({ status: 'not ready', bad: [{ part, state: 'down', reason }] })
})

test('what cannot be asked is down, with what it said', async () => {
  const reason = (text: string) => ({ state: 'down', reason: text })
  expect(await judged({ logHead: 'unreadable' })).toMatchObject({
    status: 'not ready',
    bad: [
      { part: 'log', ...reason('The log cannot be read.') },
      { part: view, ...reason('The log cannot be read.') },
    ],
  })
  expect(await judged({ engine: 'away' })).toMatchObject({
    status: 'not ready',
    bad: [
      { part: 'engine', ...reason('No engine answers.') },
      { part: view, ...reason('No engine answers.') },
    ],
  })
})

test('where there is no app, users are served by the queue alone: without its worker nothing is ready', async () => {
  const alone = (trouble: Trouble) => readiness({ ...system(trouble), app: noApp }, limits)
  expect(await alone({})).toMatchObject({ status: 'ready' })
  const missing = { part: 'queue', state: 'down', reason: 'no queue worker is connected' }
  expect(await alone({ missing: [ENQUEUE] })).toMatchObject({
    status: 'not ready',
    parts: expect.arrayContaining([missing]),
  })
  // None of those that answer is the queue's.
  expect(await alone({ silent: ['projections'] })).toMatchObject({
    status: 'not ready',
    parts: expect.arrayContaining([{ part: 'queue', state: 'down', reason: SILENT }]),
  })
})
