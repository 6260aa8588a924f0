import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startLoad } from '../support/load.ts'
import { between, seededRandom, shuffled, testSeed } from '../support/random.ts'
import { killPart, newSite, type Part, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const VICTIMS: readonly Part[] = ['commands', 'projections', 'queue', 'engine']
const KILLS = 20

/** Milliseconds from one kill to the next: shorter than a process takes to get ready, and longer. */
const DELAY = { from: 100, to: 3_000 }

interface Kill {
  readonly part: Part
  readonly afterMs: number
}

/** Every part is killed equally often, in an order and at times that follow from the seed. */
function schedule(seed: number): Kill[] {
  const random = seededRandom(seed)
  const rounds = Array.from({ length: KILLS / VICTIMS.length }, () => shuffled(random, VICTIMS))
  return rounds.flat().map((part) => ({ part, afterMs: between(random, DELAY.from, DELAY.to) }))
}

const seed = testSeed()

test(`nothing that was acknowledged is lost or doubled by ${KILLS} kills (CQRS_TEST_SEED=${seed})`, async () => {
  const site = await newSite({ CQRS_SUPERVISOR_BACKOFF_CAP_MS: '400' })
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed })

  for (const { part, afterMs } of schedule(seed)) {
    await delay(afterMs)
    await killPart(up, part)
  }
  const lastKill = performance.now()
  const before = load.settled.length
  await until('commands are answered again', () => load.settled.length >= before + 20, 20_000)
  const recoveredMs = performance.now() - lastKill
  await load.finish()

  const { events, alerts, caughtUpMs } = await expectTruth(site, load.settled)
  const accepted = load.settled.filter(({ answer }) => answer.status < 300)
  const retries = load.settled.reduce((sum, { answer }) => sum + answer.retries, 0)
  const replayed = accepted.filter(({ answer }) => answer.headers.get('idempotent-replayed')).length
  expect(accepted.length, 'the load was a load').toBeGreaterThan(100)
  process.stdout.write(
    `seed ${seed}: ${KILLS} kills, ${load.settled.length} commands (${accepted.length} accepted), ${retries} retries, ` +
      `${replayed} answers from the first try, ${events.length} events, ${alerts.length} alerts; ` +
      `longest silence ${Math.round(load.longestSilenceMs)} ms, answered ${Math.round(recoveredMs)} ms after the ` +
      `last kill, views at the head ${Math.round(caughtUpMs)} ms after the last answer\n`,
  )
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
}, 90_000)
