import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openReaders } from '../../src/workers/projections/open-readers.ts'
import { expectHeard, hearAlerts, repeated } from '../support/alerts.ts'
import { hammerInventory } from '../support/hammer.ts'
import { startLoad } from '../support/load.ts'
import { opsToken } from '../support/ops-token.ts'
import app from '../support/partitioned-inventory.ts'
import { oneOf, seededRandom, testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const APP = fileURLToPath(new URL('../support/partitioned-inventory.ts', import.meta.url))
const VIEWS = ['inventory-list', 'inventory-alert', 'inventory-stats']
const OPERATORS = 4
/** How long they quarrel before the first kill, and from then on, in milliseconds; longer if the environment says so. */
const PHASE_MS = Number(process.env.CQRS_TEST_MS) || 6_000
const KILLS = 2

/** What an operator may wish, each as often as it stands here. */
const WISHES: readonly (readonly [string, object?])[] = [
  ...Array.from({ length: 6 }, () => ['rebuild'] as const),
  ['rebuild', { force: true }],
  ['rebuild', { requireParity: true }],
  ...Array.from({ length: 8 }, () => ['rollback'] as const),
  ['rebuild-cancel'],
  ['prune'],
  ['prune', { keepPrevious: true }],
  ['verify'],
  ['pause'],
  ...Array.from({ length: 3 }, () => ['resume'] as const),
]

/** What an operator is told when another one was faster, or wishes something else. */
const EXPECTED = ['CQRS_NOT_FOUND', 'CQRS_VALIDATION']

const seed = testSeed()

test(
  `whatever ${OPERATORS} operators wish at the same time, readers never go back and each alert is sent (CQRS_TEST_SEED=${seed})`,
  async () => {
    const site = await newSite({ CQRS_APP: APP, CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '100' })
    await seedInventory({ data: site.data, events: 3_000, items: 30 })
    await startParts(site, { without: ['projections', 'queries'] })
    await startPart(site, 'queries')
    await startPart(site, 'operator')
    const outside = await sdkWorker(site.engine)
    const heard = hearAlerts(outside)
    const workers = await Promise.all([startPart(site, 'projections'), startPart(site, 'projections')])
    const load = await startLoad({ http: site.http, seed, clients: 2 })
    const hammers = hammerInventory(site.http)

    const readers = await Promise.all([openReaders(app, site.data), openReaders(app, site.data)])
    const [first] = readers
    onTestFinished(async () => {
      for (const { readers: one, control } of readers) {
        await one.close()
        await control.close()
      }
    })
    let over = false
    const wrong: string[] = []
    /** What users see who are answered by several processes in turn. */
    const reading = VIEWS.map(async (view) => {
      for (let [before, turn] = [0, 0]; !over; turn += 1) {
        const one = readers[turn % readers.length] as (typeof readers)[0]
        const position = await one.readers.use(view, (generation) => generation.view.position())
        if (position < before) wrong.push(`${view}: ${position} after ${before}`)
        before = position
        await delay(1)
      }
    })
    const metadata = opsToken(site.data)
    const told = new Map<string, number>()
    const call = async (operation: string, payload: object) => {
      const function_id = `ops::${operation}`
      try {
        await outside.trigger({ function_id, payload, metadata, timeoutMs: 30_000 })
        told.set(operation, (told.get(operation) ?? 0) + 1)
      } catch (error) {
        const { code = '', message = '' } = error as { code?: string; message?: string }
        if (!EXPECTED.some((known) => `${code} ${message}`.includes(known)))
          wrong.push(`${operation}: ${code} ${message}`)
      }
    }
    const operators = Array.from({ length: OPERATORS }, async (_, index) => {
      const random = seededRandom(seed + index)
      while (!over) {
        const [operation, options] = oneOf(random, WISHES)
        await call(operation, { projection: oneOf(random, VIEWS), ...options })
        await delay(random() * 800)
      }
    })
    await delay(PHASE_MS)
    const twiceInCalm = repeated(heard)
    for (let kill = 0; kill < KILLS; kill += 1) {
      const index = kill % workers.length
      await workers[index]?.end('SIGKILL')
      workers[index] = await startPart(site, 'projections')
      await delay(PHASE_MS / KILLS)
    }
    over = true
    await Promise.all([...operators, ...reading])
    for (const projection of VIEWS) await call('resume', { projection })

    const isQuiet = async (view: string) => {
      const state = await first.control.projection(view)
      const active = state?.generations.find((one) => one.state === 'active')
      const waits = state?.generations.some(({ state: one }) =>
        ['building', 'ready', 'returning', 'cancelling', 'pruning'].includes(one),
      )
      return (
        !waits &&
        active?.parts.every(({ partition }) => (state?.takenOver.get(partition) ?? 0) === state?.swaps)
      )
    }
    for (const view of VIEWS) await until(`all wishes for ${view} are done`, () => isQuiet(view), 60_000)
    await load.finish()
    await hammers.stop()
    expect([...wrong, ...hammers.wrong]).toEqual([])
    const { alerts } = await expectTruth(site, load.settled, app, false)
    const twice = await expectHeard(heard, alerts)
    expect(twiceInCalm, 'alerts that arrived twice before anybody was killed').toBe(0)
    expect(twice, 'alerts that arrived twice').toBeLessThanOrEqual(KILLS * 2)
    const swaps = await Promise.all(VIEWS.map(async (view) => (await first.control.projection(view))?.swaps))
    process.stdout.write(
      `seed ${seed}: ${JSON.stringify(Object.fromEntries(told))}, swaps ${swaps}, ${load.settled.length} commands, ${heard.length} alerts\n`,
    )
  },
  240_000 + 3 * PHASE_MS,
)
