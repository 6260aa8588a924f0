import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { inflict } from '../../src/chaos/inflict.ts'
import { reportStorm } from '../../src/chaos/report.ts'
import { FAULT_KINDS, schedule, VICTIMS } from '../../src/chaos/schedule.ts'
import { runStorm } from '../../src/chaos/storm.ts'
import { startTemporarySystem } from '../../src/chaos/temporary-system.ts'
import inventory from '../../src/inventory/app.ts'
import { renderReport } from '../../src/operator/cli/chaos-report.ts'
import { expectCalledFor, hearAlerts } from '../support/alerts.ts'
import { withoutSettings } from '../support/cqrs-process.ts'
import { testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { until } from '../support/until.ts'

/** Every kind at least twice; `npm run test:crash` has many more. */
const FAULTS = 18

const seed = testSeed()

test(`a storm of ${FAULTS} faults of all kinds breaks no promise (CQRS_TEST_SEED=${seed})`, async () => {
  const system = await startTemporarySystem({
    app: inventory,
    env: withoutSettings(process.env),
    cwd: join(import.meta.dirname, '..', '..'),
    smallDisk: true,
  })
  onTestFailed(() => void process.stderr.write(readFileSync(join(system.folder, 'system.log'), 'utf8')))
  onTestFinished(() => system.dispose({ keep: false }))
  const heard = hearAlerts(await sdkWorker(system.engine))
  const kinds = FAULT_KINDS.filter((kind) => !system.impossible.has(kind))
  const { longMs } = system
  const outcome = await runStorm({
    system,
    seed,
    rounds: schedule(seed, { kinds, victims: VICTIMS, faults: FAULTS, perMinute: 120, longMs }),
    durationMs: Number.POSITIVE_INFINITY,
    load: { name: String(seed), prefix: 'item-' },
    alone: true,
    ending: new AbortController().signal,
  })
  const report = reportStorm(outcome, {
    seed,
    app: inventory.name,
    system: 'temporary',
    planned: FAULTS,
    leftOut: [...system.impossible].map(([kind, why]) => `${kind}: ${why}`),
    withLoad: true,
  })
  process.stdout.write(`${renderReport(report).join('\n')}\n${new Set(heard).size} alerts heard\n`)

  expect(report).toMatchObject({ findings: [], ended: 'done', faults: { done: FAULTS } })
  expect(Object.keys(report.faults.byKind)).toHaveLength(kinds.length)
  expect(report.commands?.accepted, 'the load was a load').toBeGreaterThan(75)
  expectCalledFor(heard, outcome.inspection?.alerts ?? [])
  const kill = { number: 1, kind: 'kill', victim: 'supervisor', which: 0, atMs: 0, forMs: 0 } as const
  const calm = new AbortController().signal
  await Promise.all([inflict(system, kill, calm), inflict(system, kill, calm)])
  expect(system.pidsOf('engine'), 'one system comes back, however many kills came together').toHaveLength(1)
  expect(system.ended.aborted, 'what the storm itself has killed does not count').toBe(false)
  process.kill(system.pidsOf('supervisor')[0] ?? Number.NaN, 'SIGTERM')
  await until('it is seen that somebody else has stopped it', () => system.ended.aborted, 30_000)
  expect(system.ended.reason).toMatchObject({ message: 'cqrs up ended with exit code 0' })
  expect(await system.stop()).toBe(0)
}, 600_000)
