import type { IIIClient } from 'iii-sdk'
import { expect, test } from 'vitest'
import { processesOf } from '../../../src/workers/operator/ops-processes.ts'
import { processFunctions } from '../../../src/workers/process/process-report.ts'

const PROCESS_FUNCTIONS = processFunctions('ours')

const self = {
  pid: 4_711,
  host: 'here',
  startedAt: '2026-01-01T00:00:00.000Z',
  node: 'v24.0.0',
  memoryBytes: 1_000,
  roles: [{ role: 'queue', state: 'at work', since: '2026-01-01T00:00:01.000Z', owns: [] }],
}
const metrics = [
  { name: 'n', help: 'h', type: 'counter', values: [{ value: 3, labels: { queue: 'q' }, metricName: 'n' }] },
]

test.each<[string, unknown]>([
  ['nothing', null],
  ['no process', { self: {} }],
  ['roles that are none', { self: { ...self, roles: [null] }, metrics }],
  ['metrics that are none', { self, metrics: [{ name: 'n' }] }],
])('a process that tells %s counts as silent, and the others are heard', async (_, told) => {
  const answers = new Map<string, unknown>([
    [`${PROCESS_FUNCTIONS}1`, told],
    [`${PROCESS_FUNCTIONS}2`, { self, metrics }],
  ])
  const iii = {
    trigger: async ({ function_id: id }: { function_id: string }) =>
      answers.has(id)
        ? answers.get(id)
        : { functions: [...answers.keys()].map((function_id) => ({ function_id })) },
  }
  const { metrics: asked, processes } = processesOf(iii as unknown as IIIClient, { token: 't' }, 'ours')
  expect(await asked()).toEqual([{ self, metrics }])
  answers.set(`${PROCESS_FUNCTIONS}1`, { self: told })
  expect(await processes()).toEqual({ answers: [self], silent: 1 })
})

test('nobody is waited for longer than the caller has patience', async () => {
  const waits: unknown[] = []
  const iii = {
    trigger: async ({ function_id: id, timeoutMs }: { function_id: string; timeoutMs: number }) => {
      waits.push(timeoutMs)
      if (id.startsWith(PROCESS_FUNCTIONS)) throw new Error('not in time')
      return { functions: [{ function_id: `${PROCESS_FUNCTIONS}1` }] }
    },
  }
  const { processes } = processesOf(iii as unknown as IIIClient, { token: 't' }, 'ours')
  expect(await processes(700)).toEqual({ answers: [], silent: 1 })
  expect(waits).toEqual([700, 700])
})

test('processes of other systems on the engine are not asked, and do not count as silent', async () => {
  const answers = new Map([
    [`${processFunctions('ours')}1`, { self }],
    [`${processFunctions('theirs')}1`, null],
  ])
  const asked: string[] = []
  const iii = {
    trigger: async ({ function_id: id }: { function_id: string }) => {
      asked.push(id)
      // An engine may ignore the prefix.
      return answers.get(id) ?? { functions: [...answers.keys()].map((function_id) => ({ function_id })) }
    },
  }
  const { processes } = processesOf(iii as unknown as IIIClient, { token: 't' }, 'ours')
  expect(await processes()).toEqual({ answers: [self], silent: 0 })
  expect(asked).not.toContain(`${processFunctions('theirs')}1`)
})
