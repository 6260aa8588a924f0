import { setTimeout as delay } from 'node:timers/promises'
import { TriggerAction } from 'iii-sdk'
import { expect, test } from 'vitest'
import { settledMore, startLoad } from '../support/load.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { functionKnown, sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 180_000

test.each(['commands', 'projections'] as const)(
  'a second %s worker takes over from one that was frozen again and again when that is killed',
  { timeout: TEST_MS },
  async (role) => {
    const site = await newSite()
    const first = (await startParts(site))[role]
    await startPart(site, role)
    const load = await startLoad({ http: site.http, seed })
    const random = seededRandom(seed)
    for (let freeze = 0; freeze < 3; freeze += 1) {
      await settledMore(load, between(random, 10, 100))
      first.signal('SIGSTOP')
      await delay(between(random, 50, 1_000))
      if (freeze < 2) first.signal('SIGCONT')
    }
    await first.end('SIGKILL')
    await settledMore(load, 100)
    await load.finish()
    await expectTruth(site, load.settled)
  },
)

test(`parts that are frozen and go on do no harm (CQRS_TEST_SEED=${seed})`, {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const parts = Object.values(await startParts(site))
  const load = await startLoad({ http: site.http, seed })
  const random = seededRandom(seed)
  for (let freeze = 0; freeze < 10; freeze += 1) {
    const frozen = oneOf(random, parts)
    frozen.signal('SIGSTOP')
    // Longer than a client waits for an answer now and then.
    await delay(between(random, 50, 3_500))
    frozen.signal('SIGCONT')
    await delay(between(random, 0, 300))
  }
  await load.finish()
  await expectTruth(site, load.settled)
})

test.each([
  // Its time may be up in the moment in which the engine goes on; that counts.
  ['engine', 2],
  ['queue', 1],
] as const)(
  'a message that is under way while the %s is frozen has not failed, however short its time is',
  { timeout: TEST_MS },
  async (part, maxRetries) => {
    const site = await newSite()
    const parts = { engine: await startPart(site, 'engine'), queue: await startPart(site, 'queue') }
    const worker = await sdkWorker(site.engine)
    const called = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<null>()
    worker.registerFunction('job', () => {
      called.resolve()
      return answer.promise
    })
    await functionKnown(worker, 'job')
    const ask = (function_id: string, payload: object) => worker.trigger({ function_id, payload })
    const config = { timeout_ms: 1_000, max_retries: maxRetries }
    await ask('queue::define', { queue: 'jobs', config })
    const action = TriggerAction.Enqueue({ queue: 'jobs' })
    await worker.trigger({ function_id: 'job', payload: {}, action })
    await called.promise
    parts[part].signal('SIGSTOP')
    answer.resolve(null)
    // Longer than the message may take so many times, with the waits between them.
    await delay(3_500)
    parts[part].signal('SIGCONT')
    const stats = await until('it is settled', async () => {
      const found = (await ask('engine::queue::topic_stats', { topic: 'jobs' })) as Record<string, unknown>
      return found.depth === 0 && found
    })
    expect(stats).toMatchObject({ depth: 0, dlq_depth: 0 })
  },
)
