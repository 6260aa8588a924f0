import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { ledger } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { until } from '../support/until.ts'

const SILENT = pino({ level: 'silent' })

/** A runner on a ledger's view that nobody sends a message to. */
function unattended(
  world: ReturnType<typeof ledger>,
  log: EventLog = world.log,
  taken: (idempotencyKey: string) => void = () => undefined,
) {
  const { view, clock } = world
  const effects = new EffectSender({
    view,
    send: async (_, idempotencyKey) => {
      taken(idempotencyKey)
      return 'sent'
    },
    maxAttempts: 1,
    maxStops: 10,
    atOnce: 4,
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

test('while the log never ends, what is due is retried, effects are sent and messages are answered', async () => {
  const ill = new Set(['ada'])
  const world = ledger(balances({ fails: (account) => ill.has(account) }))
  await world.move('ada', 5)
  await world.move('bob', -1)
  // Whenever somebody has read, there is more: the head is never reached.
  const endless = new Proxy(world.log, {
    get: (log, name) =>
      name === 'readFrom'
        ? async (...given: Parameters<EventLog['readFrom']>) => {
            const page = await log.readFrom(...given)
            await world.move('cy', 1)
            return page
          }
        : Reflect.get(log, name).bind(log),
  })
  const taken: string[] = []
  const runner = unattended(world, endless, (key) => taken.push(key))
  void runner.start()
  await runner.advanceTo(2)
  await until('the effect is sent', () => taken.includes('balances:2:1'))
  ill.clear()
  world.clock.now += 10_000
  await until('the parked event is applied', async () => (await world.document('ada')) !== undefined)
  const { position } = await world.view.checkpoint()
  await until('the view goes on', async () => (await world.view.checkpoint()).position > position + 500)
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

test('while new events never end, parked ones are tried again, effects are sent, and operators have their turn', async () => {
  let failures = 0
  const fails = (account: string) => account === 'ada' && failures++ < 2
  const world = ledger(balances({ fails }))
  await world.move('ada', 1)
  const endless = new Proxy(world.log, {
    get: (log, name) =>
      name === 'readFrom'
        ? async (...request: Parameters<EventLog['readFrom']>) => {
            world.clock.now += 10
            await world.move('bob', -1)
            return log.readFrom(...request)
          }
        : Reflect.get(log, name).bind(log),
  })
  const runner = unattended(world, endless)
  void runner.start()
  await runner.inTurn(async () => undefined)
  await until('the event is applied', async () => (await world.document('ada')) !== undefined)
  await until('effects are sent', async () => (await world.view.pendingEffects(1_000)).length < 5)
})
