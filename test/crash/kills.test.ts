import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { expectCalledFor, hearAlerts } from '../support/alerts.ts'
import { settledMore, startLoad } from '../support/load.ts'
import { between, seededRandom, shuffled, testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { killPart, newSite, type Part, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'

const VICTIMS: readonly Part[] = ['commands', 'projections', 'queue', 'engine']
const KILLS = 20

/** Milliseconds from one kill to the next: shorter than a process takes to get ready, and longer. */
const DELAY = { from: 100, to: 2_000 }

interface Kill {
  readonly part: Part
  readonly afterMs: number
}

/** In every round each part is killed once, in an order and at times that follow from the seed. */
function schedule(seed: number): Kill[][] {
  const random = seededRandom(seed)
  return Array.from({ length: KILLS / VICTIMS.length }, () =>
    shuffled(random, VICTIMS).map((part) => ({ part, afterMs: between(random, DELAY.from, DELAY.to) })),
  )
}

const seed = testSeed()

test(`nothing that was acknowledged is lost or doubled by ${KILLS} kills (CQRS_TEST_SEED=${seed})`, async () => {
  const site = await newSite({ CQRS_SUPERVISOR_BACKOFF_CAP_MS: '400' })
  const up = await startSystem(site)
  const heard = hearAlerts(await sdkWorker(site.engine))
  const load = await startLoad({ http: site.http, seed })

  let slowestMs = 0
  for (const round of schedule(seed)) {
    for (const { part, afterMs } of round) {
      await delay(afterMs)
      await killPart(up, part)
    }
    const killed = performance.now()
    await settledMore(load, 25)
    slowestMs = Math.max(slowestMs, performance.now() - killed)
  }
  await load.finish()

  const { events, alerts, caughtUpMs } = await expectTruth(site, load.settled)
  expectCalledFor(heard, alerts)
  const accepted = load.settled.filter(({ answer }) => answer.status < 300)
  const retries = load.settled.reduce((sum, { answer }) => sum + answer.retries, 0)
  const replayed = accepted.filter(({ answer }) => answer.headers.get('idempotent-replayed')).length
  expect(accepted.length, 'the load was a load').toBeGreaterThan(75)
  process.stdout.write(
    `seed ${seed}: ${KILLS} kills, ${load.settled.length} commands (${accepted.length} accepted), ${retries} retries, ` +
      `${replayed} answers from the first try, ${events.length} events, ${alerts.length} alerts (${new Set(heard).size} heard); ` +
      `25 commands settled at the latest ${Math.round(slowestMs)} ms after a round of kills, ` +
      `views at the head ${Math.round(caughtUpMs)} ms after the last answer\n`,
  )
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
}, 180_000)
