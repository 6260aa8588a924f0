import { describe, expect, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'
import { table } from './report.ts'
import { runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

/** How long one scenario may take in its tiny size; alone on a machine it takes seconds. */
const TIMEOUT_MS = 120_000

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  append: ['appends/s', 'of limit'],
  command: ['of echo', 'visible p99 ms'],
  queue: ['enqueued/s', 'worked/s', 'of SDK'],
  projection: ['events/s'],
  effects: ['effects/s'],
  growth: ['p50 ms'],
  query: ['one document', 'last events of an item'],
  rebuild: ['rebuild, events/s', 'scan, events/s'],
  recovery: ['no lag after s'],
  flood: ['503'],
  soak: ['second quarter', 'last quarter'],
  peers: ['added/s', 'ours to theirs'],
}

async function runTiny(scenario: Scenario) {
  // Servers of peers are not asked for: that a machine has them must not change what this test does.
  return runScenario(scenario, {
    given: new Map(),
    tiny: true,
    rounds: 1,
    folder: tempFolder(),
    profile: undefined,
    env: {},
    say: () => {},
  })
}

describe('each scenario runs in a tiny size and gives its figures', () => {
  test('the list of this test is the list of the scenarios', () => {
    expect(Object.keys(EXPECTED).toSorted()).toEqual(SCENARIOS.map(({ name }) => name).toSorted())
  })

  test.for(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    { timeout: TIMEOUT_MS },
    async ([, scenario]) => {
      const result = await runTiny(scenario)
      const given = new Set(result.rows.flatMap(({ is }) => Object.keys(is)))
      expect([...given]).toEqual(expect.arrayContaining([...(EXPECTED[scenario.name] ?? [])]))
      expect(table(result)).toContain('|')
      for (const { is } of result.rows) {
        for (const [name, value] of Object.entries(is)) {
          const median = typeof value === 'object' ? value.median : value
          expect(median, `${scenario.name}: ${name}`).not.toBeNaN()
        }
      }
    },
  )
})

test('a peer that is not there is named, not passed over in silence', async () => {
  const peers = SCENARIOS.find(({ name }) => name === 'peers') as Scenario
  const { notes } = await runTiny(peers)
  expect(notes.join('\n')).toMatch(/bullmq was left out: (REDIS_URL names no server|it is not installed)/)
  expect(notes.join('\n')).toMatch(/pg-boss was left out: (POSTGRES_URL names no server|it is not installed)/)
})
