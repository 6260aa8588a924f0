import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'vitest'
import { settledMore, startLoad } from '../support/load.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'

const seed = testSeed()
const TEST_MS = 90_000

test('a projections worker that was frozen while another took over applies nothing twice', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '100' })
  const { projections: first } = await startParts(site)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 50)
  first.signal('SIGSTOP')
  const second = await startPart(site, 'projections')
  await settledMore(load, 100)
  first.signal('SIGCONT')

  const random = seededRandom(seed)
  for (let freeze = 0; freeze < 12; freeze += 1) {
    const frozen = oneOf(random, [first, second])
    frozen.signal('SIGSTOP')
    await settledMore(load, between(random, 1, 25))
    frozen.signal('SIGCONT')
    await settledMore(load, between(random, 1, 25))
  }
  await load.finish()
  await expectTruth(site, load.settled)
})

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
