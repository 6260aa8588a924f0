import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'vitest'
import { settledMore, startLoad } from '../support/load.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'

const seed = testSeed()
const TEST_MS = 90_000

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
