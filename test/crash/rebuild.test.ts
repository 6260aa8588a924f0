import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { dataPaths } from '../../src/config/paths.ts'
import type { ControlStore, Generation } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { RebuildStarted } from '../../src/operator/generations-contract.ts'
import { expectCalledFor, hearAlerts, repeated } from '../support/alerts.ts'
import { hammerInventory } from '../support/hammer.ts'
import { request } from '../support/inventory-client.ts'
import { startLoad } from '../support/load.ts'
import { opsToken } from '../support/ops-token.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { killPart, newSite, type Site, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const PROJECTIONS = ['inventory-list', 'inventory-stats', 'inventory-alert']
const KILLS = 10

function openControl(site: Site): ControlStore {
  const control = openSqliteControl({ path: dataPaths(site.data).control })
  onTestFinished(() => control.close())
  return control
}

async function find(control: ControlStore, { projection, generation }: RebuildStarted): Promise<Generation> {
  const state = await control.projection(projection)
  const found = state?.generations.find((one) => one.generation === generation)
  if (!found) throw new Error(`${projection} has no generation ${generation}`)
  return found
}

const seed = testSeed()

test(`three views are rebuilt at once under load, killed ${KILLS} times and at the swap (CQRS_TEST_SEED=${seed})`, async () => {
  const random = seededRandom(seed)
  const site = await newSite({ CQRS_SUPERVISOR_BACKOFF_CAP_MS: '200' })
  const seeded = await seedInventory({ data: site.data, events: 40_000, items: 100 })
  const up = await startSystem(site)
  const control = openControl(site)
  const operator = await sdkWorker(site.engine)
  const heard = hearAlerts(operator)
  const load = await startLoad({ http: site.http, seed, clients: 4 })
  const metadata = opsToken(site.data)
  const rebuild = (projection: string) =>
    operator.trigger<unknown, RebuildStarted>({
      function_id: 'ops::rebuild',
      payload: { projection },
      metadata,
    })
  await until(
    'the views are at the head',
    async () => (await request(`${site.http}/inventory/stats?after=${seeded}`)).status === 200,
    60_000,
  )
  const hammers = hammerInventory(site.http)

  let started = await Promise.all(PROJECTIONS.map(rebuild))
  const built = await Promise.all(started.map((one) => find(control, one)))
  expect(built.map(({ state }) => state)).toEqual(['building', 'building', 'building'])
  const [again] = await Promise.all([rebuild('inventory-list')])
  expect(again).toMatchObject({ joined: true, generation: started[0]?.generation })
  const everyoneServes = async () =>
    (await Promise.all(started.map((one) => find(control, one)))).every(({ state }) => state === 'active')
  const underWay = async () =>
    (await Promise.all(started.map((one) => find(control, one)))).filter(({ state }) => state === 'building')
  const seen: number[] = []
  let kills = 0
  let longestMs = 600
  while (seen.length < KILLS) {
    // On a fast machine a build may have ended: then another one is killed, and sooner.
    if (await everyoneServes()) started = await Promise.all(PROJECTIONS.map(rebuild))
    const since = new Date().toISOString()
    const isAtIt = async () => {
      const builds = await underWay()
      const moved = builds.some(({ parts: [part] }) => part && part.updatedAt > since && part.position > 0)
      return moved || everyoneServes()
    }
    await until('somebody has built something', isAtIt, 60_000)
    await delay(between(random, 0, longestMs))
    if (await everyoneServes()) {
      longestMs = Math.floor(longestMs / 2)
      continue
    }
    await killPart(up, 'projections')
    kills += 1
    // Nobody moves them before the process is started again.
    const met = await underWay()
    if (met.length > 0) seen.push(Math.max(...met.map(({ parts: [part] }) => part?.position ?? 0)))
  }
  await until('all new generations serve', everyoneServes, 60_000)

  // Once more, and the process is killed as soon as the swap is committed, before its effects are taken over.
  const second = await rebuild('inventory-alert')
  await until('the swap', async () => (await find(control, second)).state === 'active', 60_000)
  await killPart(up, 'projections')
  kills += 1

  await load.finish()
  const answers = await hammers.stop()
  expect(hammers.wrong).toEqual([])
  const { events, alerts } = await expectTruth(site, load.settled, undefined, false)
  for (const projection of PROJECTIONS) {
    await until(`the effects of ${projection} are taken over`, async () => {
      const { swaps, takenOver } = (await control.projection(projection)) ?? {}
      return swaps !== undefined && takenOver?.get(0) === swaps
    })
  }
  expectCalledFor(heard, alerts)
  // A process that is killed while it sends may send that one again; a rebuild sends none.
  expect(repeated(heard), 'alerts that arrived twice').toBeLessThanOrEqual(kills)
  process.stdout.write(
    `seed ${seed}: ${kills} kills, ${seen.length} of them while views were built up to ${seen.join(', ')} of ${seeded}; ${load.settled.length} commands, ` +
      `${events.length} events, ${answers.join(' + ')} queries, ${repeated(heard)} of ${heard.length} alerts twice\n`,
  )
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
}, 360_000)
