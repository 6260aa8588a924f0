import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { ledger } from '../support/ledger.ts'
import { until } from '../support/until.ts'

const SILENT = pino({ level: 'silent' })

/** A runner on a ledger's view that nobody sends a message to. */
function unattended(world: ReturnType<typeof ledger>, log: EventLog = world.log) {
  const { view, clock } = world
  const effects = new EffectSender({
    view,
    send: async () => 'sent',
    maxAttempts: 1,
    baseMs: 1,
    capMs: 1,
    now: () => 0,
    log: SILENT,
    signal: new AbortController().signal,
  })
  const runner = new ProjectionRunner({
    projector: world.projector({ log }),
    view,
    effects,
    sweepIntervalMs: 5,
    now: () => clock.now,
    log: SILENT,
  })
  onTestFinished(() => runner.stop())
  return runner
}

test('without a single message the view reaches the head, again and again', async () => {
  const world = ledger()
  await world.move('ada', 1)
  await unattended(world).start()
  expect(await world.document('ada')).toMatchObject({ moves: 1 })
  for (const moves of [2, 3]) {
    await world.move('ada', 1)
    await until(
      `${moves} moves`,
      async () => ((await world.document('ada')) as { moves: number }).moves === moves,
    )
  }
})

test('a log that cannot be read for a while parks nothing and is caught up with afterwards', async () => {
  const world = ledger()
  await world.move('ada', 1)
  let failures = 0
  const shaky = new Proxy(world.log, {
    get: (log, name) =>
      name === 'readFrom' && failures < 3
        ? () => {
            failures += 1
            return Promise.reject(new CqrsError('CQRS_STORE_UNAVAILABLE', 'The disk is away.'))
          }
        : Reflect.get(log, name).bind(log),
  })
  await unattended(world, shaky).start()
  await until('the view to catch up', async () => (await world.document('ada')) !== undefined)
  expect(failures).toBe(3)
  expect(await world.view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('a message for a position that the view has passed changes nothing', async () => {
  const world = ledger()
  await world.move('ada', 1)
  const runner = unattended(world)
  await runner.advanceTo(1)
  const { revision } = await world.view.checkpoint()
  await Promise.all([runner.advanceTo(1), runner.advanceTo(1)])
  expect((await world.view.checkpoint()).revision).toBe(revision)
})
