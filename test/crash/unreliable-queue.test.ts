import { expect, test } from 'vitest'
import { settledMore, startLoad } from '../support/load.ts'
import { testSeed } from '../support/random.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { UnreliableQueue } from '../support/unreliable-queue.ts'

const SWEEP_MS = 300

const seed = testSeed()

test(`messages that are lost, doubled, reordered and days old change nothing (CQRS_TEST_SEED=${seed})`, {
  timeout: 90_000,
}, async () => {
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: String(SWEEP_MS) })
  const { projections } = await startParts(site, { without: ['queue'] })
  const queue = new UnreliableQueue(await sdkWorker(site.engine), seed)
  const load = await startLoad({ http: site.http, seed })
  await settledMore(load, 300)
  // What was under way when it dies is among the faults.
  await projections.end('SIGKILL')
  await startPart(site, 'projections')
  await settledMore(load, 300)
  await load.finish()

  const { events, caughtUpMs } = await expectTruth(site, load.settled)
  expect(caughtUpMs, 'the sweep makes up for what was lost').toBeLessThan(SWEEP_MS + 5_000)
  await queue.settled()
  const late = await queue.deliverKept()
  expect((await expectTruth(site, load.settled)).events).toEqual(events)

  const { messages, lost, doubled, reordered, kept } = queue.faults
  process.stdout.write(
    `seed ${seed}: ${messages} messages, ${lost} lost, ${doubled} doubled, ${reordered} reordered, ${kept} kept and ` +
      `delivered ${late} times in the end; ${events.length} events, views at the head ${Math.round(caughtUpMs)} ms ` +
      'after the last answer\n',
  )
  for (const faults of [lost, doubled, reordered, kept]) expect(faults).toBeGreaterThan(messages * 0.1)
  expect(messages, 'the queue was used').toBeGreaterThan(50)
})
