import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { ledger } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

const STREAMS = 100
const ROUNDS = 40

/** A view at work, with one stream in a hundred whose every event fails, or none. */
function world(poisoned: boolean) {
  const own = ledger(balances({ fails: (account) => poisoned && account === 'account-13' }))
  const { view } = own
  const log = pino({ level: 'silent' })
  const signal = AbortSignal.timeout(120_000)
  const effects = new EffectSender({
    view,
    send: async () => 'sent',
    maxAttempts: 1,
    maxStops: 10,
    atOnce: 4,
    baseMs: 1,
    capMs: 1,
    now: Date.now,
    log,
    signal,
  })
  const runner = new ProjectionRunner({
    projector: own.projector({ now: Date.now, policy: { maxAttempts: 1_000, baseMs: 20, capMs: 100 } }),
    view,
    effects,
    sweepIntervalMs: 50,
    now: Date.now,
    log,
  })
  void runner.start()
  onTestFinished(() => runner.stop())
  const lags: number[] = []
  return {
    ...own,
    lags,
    /** An event for each stream, ten at a time; notes for the healthy ones how long the view took. */
    async round() {
      for (let first = 0; first < STREAMS; first += 10) {
        await Promise.all(
          Array.from({ length: 10 }, async (_, index) => {
            const account = `account-${first + index}`
            await own.move(account, 1)
            const appended = performance.now()
            await runner.advanceTo(await own.log.head())
            if (account !== 'account-13') lags.push(performance.now() - appended)
          }),
        )
      }
    },
  }
}

function p99(lags: readonly number[]): number {
  return lags.toSorted((left, right) => left - right)[Math.floor(lags.length * 0.99)] ?? 0
}

test('one stream in a hundred that fails without end does not delay the others', async () => {
  const [healthy, poisoned] = [world(false), world(true)]
  // In turns, so that what else the machine does falls on both.
  for (let round = 0; round < ROUNDS; round += 1) {
    await healthy.round()
    await poisoned.round()
  }
  const [sequence] = [await poisoned.view.sequence('account-13', ROUNDS + 1)]
  expect(sequence.length).toBe(ROUNDS)
  expect(sequence[0]?.attempts).toBeGreaterThan(3)
  const [without, withPoison] = [p99(healthy.lags), p99(poisoned.lags)]
  process.stdout.write(
    `p99 apply lag of healthy streams: ${without.toFixed(1)} ms without poison, ${withPoison.toFixed(1)} ms with ` +
      `(${sequence[0]?.attempts} attempts at the poisoned one)\n`,
  )
  expect(withPoison).toBeLessThan(without * 4 + 20)
})
