import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { Interleaving } from '../support/interleaving.ts'
import { ACTIONS, type Action } from '../support/interleaving-actions.ts'
import { testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** Runs of the property, and the time after which none but the first few begins, in milliseconds. */
const RUNS = Number(process.env.CQRS_TEST_RUNS) || 150
const FIRST_RUNS = 11
const TIME_MS = Number(process.env.CQRS_TEST_MS) || 25_000

const seed = testSeed()

/**
 * Appends, conflicting appends, messages that come late, twice, out of order or never, two projections
 * processes on one view whose calls interleave in any order and which end before or after any of them,
 * handlers and receivers that fail and recover, operators that redrive and discard: at every moment the view
 * is a plain fold of the log up to its checkpoint but for what is parked or given up, in order, and its digest
 * is that of the log. In the end, when all are well, nothing is parked and every effect was taken.
 */
test(
  `whatever happens on the way, the view is a fold of the log at every moment (CQRS_TEST_SEED=${seed})`,
  async () => {
    const folder = tempFolder()
    const log = openSqliteEventLog({ path: join(folder, 'events.db') })
    onTestFinished(() => log.close())
    const end = performance.now() + TIME_MS
    let runs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.noBias(fc.array(ACTIONS, { maxLength: 240, size: 'max' })),
        async (actions: Action[]) => {
          // A run that has begun is not broken off: it would go on beside whatever comes next.
          if (runs >= FIRST_RUNS && performance.now() > end) return
          runs += 1
          const run = join(folder, String(runs))
          const world = await Interleaving.start(log, run, actions)
          try {
            for (const action of actions) {
              await world.take(action)
              await world.expectTruth()
            }
            await world.heal()
            await world.expectHealed()
          } finally {
            await world.end()
            rmSync(run, { recursive: true, force: true })
          }
        },
      ),
      { seed, numRuns: RUNS },
    )
    expect(runs).toBeGreaterThanOrEqual(FIRST_RUNS)
  },
  TIME_MS + 120_000,
)
