import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest'
import { BOUNDARIES, type Boundary } from '../../src/boundaries.ts'
import { CrashWorld } from '../support/crash-world.ts'
import { expectReceipts } from '../support/receipts-truth.ts'
import { expectTruth } from '../support/truth.ts'
import { commandCases } from './points/commands.ts'
import { effectCases } from './points/effects.ts'
import { projectionCases } from './points/projections.ts'
import { queueCases } from './points/queue.ts'

/** The compiler sees that none is missing, too. */
const CASES: Record<Boundary, (world: CrashWorld) => Promise<void>> = {
  ...commandCases,
  ...queueCases,
  ...projectionCases,
  ...effectCases,
}

let world: CrashWorld

beforeAll(async () => {
  world = await CrashWorld.start()
}, 60_000)
afterAll(() => world.end())
beforeEach(() => world.recover())

test('every boundary has its kill', () => {
  expect(Object.keys(CASES).sort()).toEqual(Object.keys(BOUNDARIES).sort())
})

// The system is the same for all: what one kill has damaged, the checks after the next ones find as well.
test.each(Object.entries(CASES))('killed at %s', { timeout: 45_000 }, async (_, killAt) => {
  onTestFailed(() => world.show())
  await killAt(world)
  await expectTruth(world.site, world.settled)
  await expectReceipts(world.site, world.receipts, world.givenUp)
})
