import { expect, test } from 'vitest'
import { reportStorm } from '../../src/chaos/report.ts'
import { type Fault, VICTIMS } from '../../src/chaos/schedule.ts'
import { runStorm, type StormOptions } from '../../src/chaos/storm.ts'
import type { StormSystem } from '../../src/chaos/system.ts'
import type { TcpProxy } from '../../src/chaos/tcp-proxy.ts'
import inventory from '../../src/inventory/app.ts'
import { renderReport } from '../../src/operator/cli/chaos-report.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'

const link = { connected: true, breakConnections: async () => {} } as unknown as TcpProxy

/** A system without processes, whose views stand behind its log, and which ends when the test says so. */
async function ending() {
  const controller = new AbortController()
  const end = () => void setImmediate(() => controller.abort(new Error('cqrs up ended with exit code 0')))
  const data = tempFolder()
  await seedInventory({ data, events: 100, items: 1 })
  const system: StormSystem = {
    kind: 'temporary',
    app: inventory,
    data,
    // Nobody listens there.
    http: 'http://127.0.0.1:1',
    impossible: new Map(),
    longMs: 1_000,
    pidsOf: () => [],
    linksOf: () => [link],
    disk: undefined,
    ended: controller.signal,
    expectEnd: () => {},
    restart: async () => {},
  }
  return { system, end }
}

function round(kind: Fault['kind'], waitMs = 0): StormOptions['rounds'] {
  return [{ waitMs, faults: [{ number: 1, kind, victim: 'queue', which: 0, atMs: 0, forMs: 0 }] }]
}

type Case = Partial<StormOptions> & Pick<StormOptions, 'rounds'>

test.each<[string, (end: () => void) => Case & { pidsOf?: StormSystem['pidsOf'] }]>([
  [
    'before the first fault',
    (end) => {
      end()
      return { rounds: round('cut', 3_600_000) }
    },
  ],
  [
    'while a victim is looked for',
    (end) => {
      let asked = 0
      return {
        rounds: round('kill'),
        pidsOf: () => {
          asked += 1
          // Before the first fault, the processes of each victim are counted.
          if (asked > VICTIMS.length) end()
          return []
        },
      }
    },
  ],
  ['while the views are waited for', (end) => ({ rounds: round('cut'), onProgress: end })],
  [
    'while commands are tried again and again',
    (end) => {
      end()
      return { rounds: round('cut'), load: { name: 'storm', prefix: 'item-' } }
    },
  ],
])('a system that ends without the storm ends it at once: %s', async (_, make) => {
  const { system, end } = await ending()
  const { pidsOf = system.pidsOf, ...options } = make(end)
  const outcome = await runStorm({
    system: { ...system, pidsOf },
    seed: 1,
    durationMs: Number.POSITIVE_INFINITY,
    alone: true,
    ending: new AbortController().signal,
    ...options,
  })
  const message = expect.stringMatching(
    /^The system ended, but not because of the storm \(cqrs up ended with exit code 0\), .*"cqrs audit" and "cqrs verify"\.$/,
  )
  expect(outcome).toMatchObject({
    ended: 'system ended',
    inspection: undefined,
    findings: [{ what: 'process', message }],
  })
  expect(outcome.findings[0]?.message).toContain(`"CQRS_DATA=${system.data} cqrs up"`)
  const known = { seed: 1, app: 'inventory', system: 'temporary', leftOut: [], planned: 1 } as const
  const report = reportStorm(outcome, { ...known, withLoad: true })
  expect(report).toMatchObject({
    ok: false,
    events: null,
    commands: { lost: null, doubled: null, oversold: null },
  })
  expect(renderReport(report).join('\n')).toMatch(/\(system ended\)[\s\S]*Nothing was proven/)
  expect(renderReport(report).join('\n')).not.toMatch(/BROKEN|kept|lost|VIEW/)
})
