import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest'
import { BOUNDARIES, type Boundary } from '../../src/boundaries.ts'
import { CrashWorld } from '../support/crash-world.ts'
import { settle } from '../support/inventory-client.ts'
import { expectReceipts } from '../support/receipts-truth.ts'
import { expectTruth } from '../support/truth.ts'
import { commandCases } from './points/commands.ts'
import { effectCases } from './points/effects.ts'
import { generationCases } from './points/generations.ts'
import { projectionCases } from './points/projections.ts'
import { queueCases } from './points/queue.ts'

/** The compiler sees that none is missing, too. */
const CASES: Record<Boundary, (world: CrashWorld) => Promise<void>> = {
  ...commandCases,
  ...queueCases,
  ...projectionCases,
  ...effectCases,
  ...generationCases,
}

let world: CrashWorld

beforeAll(async () => {
  world = await CrashWorld.start()
})
afterAll(() => world.end())
beforeEach(() => world.recover())

test('every boundary has its kill', () => {
  expect(Object.keys(CASES).sort()).toEqual(Object.keys(BOUNDARIES).sort())
})

test('of many clients with one key one is carried out, and all get its answer, over a death', async () => {
  onTestFailed(() => world.show())
  await world.add('mug-many')
  const command = { path: '/inventory/mug-many/sell', body: { quantity: 3 }, idempotencyKey: 'sell-many' }
  const clients = Array.from({ length: 20 }, () => command)
  const answers = await world.killAt('commands', 'append-stored', () =>
    Promise.all(clients.map((each) => settle(world.site.http, each))),
  )
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1)
  const [answer] = answers
  if (answer) world.settled.push({ command, answer })
  const { events } = await expectTruth(world.site, world.settled)
  expect(events.filter(({ data }) => (data as { sku: string }).sku === 'mug-many')).toHaveLength(2)
})

// The system is the same for all: what one kill has damaged, the checks after the next ones find as well.
test.each(Object.entries(CASES))('killed at %s', async (_, killAt) => {
  onTestFailed(() => world.show())
  await killAt(world)
  await expectTruth(world.site, world.settled)
  await expectReceipts(world.site, world.receipts, world.givenUp)
})
