import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { acceptedAt, request } from '../support/inventory-client.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url))

const HOUR = 3_600_000

/** Delays of all retries: 100 to 400 ms, however often they failed. */
const RETRIES = { baseMs: 200, capMs: 400 }

/** How long retries are counted, in milliseconds. */
const WATCHED_MS = 2_000

/** With the least delay (half of the base) and a margin for the machine. */
const STORM = (WATCHED_MS / (RETRIES.baseMs / 2)) * 2

test('steps of the wall clock by an hour, also over a restart, neither stall nor storm what waits', async () => {
  const folder = tempFolder()
  const [clock, tries] = [join(folder, 'clock'), join(folder, 'tries')]
  const step = (ms: number) => writeFileSync(clock, String(ms))
  step(0)
  const site = await newSite({
    CQRS_APP: support('stubborn-app.ts'),
    CQRS_PROJECTIONS_RETRY_BASE_MS: String(RETRIES.baseMs),
    CQRS_PROJECTIONS_RETRY_CAP_MS: String(RETRIES.capMs),
    CQRS_PROJECTIONS_MAX_ATTEMPTS: '1000',
    MOVING_CLOCK: clock,
    TRIES: tries,
    NODE_OPTIONS: `--import=${pathToFileURL(support('moving-clock.ts'))}`,
  })
  let up = await startSystem(site)
  const knock = (name: string) =>
    request(`${site.http}/doors/${name}`, { command: { body: {}, idempotencyKey: crypto.randomUUID() } })
  const counts = { tried: () => (existsSync(tries) ? readFileSync(tries).length : 0), delivered: () => 0 }

  await until('the door is known', async () => (await knock('shut')).status === 200)
  let worker = await failingWorker(site.engine)
  counts.delivered = () => worker.deliveries.length

  /** Whatever the clock does: a parked event and a message are tried again, neither never nor all the time. */
  const expectSteady = async (why: string) => {
    for (const [what, count] of Object.entries(counts)) {
      const before = count()
      await until(`${what} again, ${why}`, () => count() >= before + 2, 8_000)
    }
    const before = Object.values(counts).map((count) => count())
    await delay(WATCHED_MS)
    for (const [index, count] of Object.values(counts).entries()) {
      expect(count() - (before[index] ?? 0), why).toBeLessThan(STORM)
    }
    // A query waits for its position and commands are answered.
    const position = acceptedAt(await knock('open'))
    const answer = await request(`${site.http}/doors/open?after=${position}`)
    expect(answer.status, why).toBe(200)
  }

  await expectSteady('before any step')
  step(HOUR)
  await expectSteady('an hour ahead')
  step(-HOUR)
  await expectSteady('two hours back')
  await up.end('SIGTERM')
  step(-3 * HOUR)
  up = await startSystem(site)
  worker = await failingWorker(site.engine)
  await expectSteady('two hours back over a restart')
  writeFileSync(`${tries}.open`, '')
  await until('the door is open', async () =>
    isDeepStrictEqual((await request(`${site.http}/doors/shut`)).body, { door: 'shut', knocks: 1 }),
  )
}, 120_000)

/** A worker with a function that always fails, and one message for it. */
async function failingWorker(engine: string) {
  const deliveries: number[] = []
  const worker = await sdkWorker(engine)
  worker.registerFunction('job::fail', async () => {
    deliveries.push(performance.now())
    throw new Error('always')
  })
  const config = { max_retries: 1_000, backoff_ms: RETRIES.baseMs, max_backoff_ms: RETRIES.capMs }
  await worker.trigger({ function_id: 'queue::define', payload: { queue: 'failing', config } })
  await worker.trigger({
    function_id: 'job::fail',
    payload: {},
    action: { type: 'enqueue', queue: 'failing' },
  })
  return { deliveries }
}
