import { fileURLToPath } from 'node:url'
import { TriggerAction } from 'iii-sdk'
import { expect, onTestFinished, test } from 'vitest'
import { startEngine } from '../../src/engine/engine.ts'
import type { SystemStatus } from '../../src/operator/contract.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { opsToken } from '../support/ops-token.ts'
import partitioned from '../support/partitioned-inventory.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'
import { REAL_ENGINE } from '../support/real-engine.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, onEachEngine, type Site, startPart, startParts } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 240_000

/**
 * How soon a survivor must have taken over what a killed worker did. It takes some hundred milliseconds (the bench
 * measures it); this tells that apart from waiting for a timeout of half a minute, on a busy machine, too.
 */
const TAKEOVER_MS = 10_000

/** For each role, calls that succeed only while its workers serve. */
const PROBES: Readonly<
  Record<'commands' | 'queries' | 'projections' | 'queue', { functionIds: readonly string[]; queue?: string }>
> = {
  commands: { functionIds: ['cmd::discontinue-item'] },
  queries: { functionIds: ['query::inventory-stats'] },
  projections: { functionIds: ['proj::inventory-list', 'proj::inventory-stats', 'notify::inventory-alert'] },
  queue: { functionIds: ['query::inventory-stats'], queue: 'default' },
}

/** The engines that workers have to get along with, by who keeps a function that two of them register. */
const ENGINES: Readonly<Record<string, () => Promise<Site>>> = {
  'the last registration wins': () => siteWhere('last'),
  'the first registration wins': () => siteWhere('first'),
  ...(REAL_ENGINE && {
    'the real engine routes': async () => {
      const site = await newSite({}, tempFolder(), 'real')
      await startPart(site, 'engine')
      return site
    },
  }),
}

async function siteWhere(ownership: 'first' | 'last'): Promise<Site> {
  const site = await newSite()
  const engine = await startEngine({
    port: Number(new URL(site.engine).port),
    http: { port: Number(new URL(site.http).port) },
    ownership,
  })
  onTestFinished(() => engine.close())
  return site
}

test.each(Object.keys(ENGINES))(
  'two workers of every role run at once, and what a killed one did moves to the other soon, where %s',
  { timeout: TEST_MS },
  async (where) => {
    const site = (await ENGINES[where]?.()) as Site
    const roles = ['queue', 'projections', 'commands', 'queries'] as const
    const start = async () =>
      Object.fromEntries(
        await Promise.all(roles.map(async (role) => [role, await startPart(site, role)] as const)),
      )
    const first = await start()
    await start()
    const load = await startLoad({ http: site.http, seed })
    const outside = await sdkWorker(site.engine)
    const tookMs: Record<string, number> = {}
    for (const role of roles) {
      await settledMore(load, 50)
      const { functionIds, queue } = PROBES[role]
      const action = queue === undefined ? {} : { action: TriggerAction.Enqueue({ queue }) }
      await first[role]?.end('SIGKILL')
      const killed = performance.now()
      await until(`the other ${role} worker serves`, async () => {
        for (const function_id of functionIds) {
          await outside.trigger({ function_id, payload: {}, timeoutMs: 1_000, ...action })
        }
        return true
      })
      tookMs[role] = Math.round(performance.now() - killed)
    }
    await load.finish()
    await expectTruth(site, load.settled)
    process.stdout.write(`milliseconds until the other worker served: ${JSON.stringify(tookMs)}\n`)
    for (const role of roles) expect(tookMs[role], role).toBeLessThan(TAKEOVER_MS)
  },
)

onEachEngine((newSiteOn) => {
  test(`partitions move between workers that come, die and leave; nothing is missed or doubled (CQRS_TEST_SEED=${seed})`, {
    timeout: TEST_MS,
  }, async () => {
    const app = fileURLToPath(new URL('../support/partitioned-inventory.ts', import.meta.url))
    const site = await newSiteOn({ CQRS_APP: app })
    const { projections } = await startParts(site)
    const load = await startLoad({ http: site.http, seed, items: 40 })
    const random = seededRandom(seed)
    let workers = [projections]
    for (let change = 0; change < 6; change += 1) {
      await settledMore(load, between(random, 20, 150))
      if (change % 2 === 0)
        workers.push(await startPart(site, 'projections'), await startPart(site, 'projections'))
      else {
        const [leaving, ...staying] = workers
        await leaving?.end(random() < 0.7 ? 'SIGKILL' : 'SIGTERM')
        workers = staying
      }
    }
    await load.finish()
    await expectTruth(site, load.settled, partitioned)

    const outside = await sdkWorker(site.engine)
    await startPart(site, 'operator')
    const ask = { function_id: 'ops::status', payload: {}, metadata: opsToken(site.data) }
    const units = async () =>
      (await outside.trigger<object, SystemStatus>(ask)).projections.map(({ name, owned, lag }) => ({
        name,
        owned,
        lag,
      }))
    // What the last worker to go had is taken over a moment later; the views may be at the head before.
    await expect.poll(units).toEqual(
      ['list.0', 'list.1', 'list.2', 'list.3', 'stats', 'alert.0', 'alert.1'].map((name) => ({
        name: `inventory-${name}`,
        owned: true,
        lag: 0,
      })),
    )
    const shares = () =>
      workers.map(({ output }) => {
        const line = output.split('\n').findLast((each) => each.includes('are live'))
        return (JSON.parse(line ?? '{}').projections as string[]).length
      })
    const spread = () => [
      Math.max(...shares()) - Math.min(...shares()) <= 1,
      shares().reduce((a, b) => a + b),
    ]
    await expect
      .poll(spread, { message: 'whether all have the same share, and of how many' })
      .toEqual([true, 7])
  })
})
