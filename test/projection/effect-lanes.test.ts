import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { positionOf } from '../../src/projection/duty.ts'
import { EffectSender, type SendEffect, type SendOutcome } from '../../src/projection/effect-sender.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'

/** Effects of several sequences at the same time: each sequence in its order, whatever happens to the others. */

const seed = testSeed()

/** A view with an effect for each of the given accounts, in this order; the sequence of each is its account. */
async function effectsOf(accounts: readonly string[]) {
  const { view, viewPath, move, projector } = ledger()
  const more = async (...added: string[]) => {
    for (const account of added) await move(account, -1)
    await toHead(projector())
  }
  await more(...accounts)
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) })
  const sender = (send: SendEffect, atOnce: number, isPaused = () => false) =>
    new EffectSender({
      view,
      send,
      atOnce,
      maxAttempts: 3,
      maxStops: 4,
      baseMs: 1,
      capMs: 1,
      now: () => 0,
      log,
      isPaused,
      signal: new AbortController().signal,
    })
  const pending = async () => (await view.pendingEffects(1_000)).map(({ idempotencyKey }) => idempotencyKey)
  return { view, viewPath, sender, pending, more, warnings }
}

/** Receives effects, and answers each when the test says so. */
function receiver() {
  const asked: number[] = []
  const answers = new Map<number, (outcome: SendOutcome | Error) => void>()
  const send: SendEffect = async (_, key) => {
    const position = positionOf(key)
    asked.push(position)
    const outcome = await new Promise<SendOutcome | Error>((resolve) => answers.set(position, resolve))
    if (outcome instanceof Error) throw outcome
    return outcome
  }
  return {
    send,
    asked,
    answer: (position: number, outcome: SendOutcome | Error = 'sent') => answers.get(position)?.(outcome),
    /** Waits until exactly these were asked for, in this order. */
    async isAskedFor(...positions: number[]) {
      await vi.waitFor(() => expect(asked).toEqual(positions))
      // Whatever else could begin begins now.
      for (let turn = 0; turn < 10; turn += 1) await nextTurn()
      expect(asked).toEqual(positions)
    },
  }
}

test('effects of different sequences are sent at the same time, as many as are allowed, and those of one in order', async () => {
  const { sender, pending } = await effectsOf(['ada', 'ada', 'bob', 'cyd', 'dan'])
  const { send, answer, isAskedFor } = receiver()
  const flushed = sender(send, 3).flush()
  await isAskedFor(1, 3, 4)
  answer(4)
  await isAskedFor(1, 3, 4, 5)
  answer(1)
  await isAskedFor(1, 3, 4, 5, 2)
  for (const position of [2, 3, 5]) answer(position)
  await flushed
  expect(await pending()).toEqual([])
})

test('with one at a time all effects are sent in their order', async () => {
  const { sender } = await effectsOf(['ada', 'ada', 'bob', 'ada', 'cyd'])
  const sent: number[] = []
  await sender(async (_, key) => {
    sent.push(positionOf(key))
    return 'sent'
  }, 1).flush()
  expect(sent).toEqual([1, 2, 3, 4, 5])
})

test('what is recorded while a slow receiver has an effect is sent without waiting for it', async () => {
  const { sender, pending, more } = await effectsOf(['ada'])
  const { send, answer, isAskedFor } = receiver()
  const sending = sender(send, 4)
  const flushed = sending.flush()
  await isAskedFor(1)
  await more('ada', 'bob')
  void sending.flush()
  await isAskedFor(1, 3)
  answer(3)
  answer(1)
  await isAskedFor(1, 3, 2)
  answer(2)
  await flushed
  expect(await pending()).toEqual([])
})

test('a call while as many are in line as are read ahead waits like everybody else', async () => {
  const { sender, pending } = await effectsOf(Array.from({ length: 100 }, () => 'ada'))
  const { send, answer, isAskedFor } = receiver()
  const sending = sender(send, 4)
  const flushed = sending.flush()
  await isAskedFor(1)
  void sending.flush()
  answer(1)
  const all = Array.from({ length: 100 }, (_, index) => index + 1)
  for (const position of all.slice(1)) {
    await isAskedFor(...all.slice(0, position))
    answer(position)
  }
  await flushed
  expect(await pending()).toEqual([])
})

test('when somebody takes effects again, all are sent, although another call came while the first one was tried', async () => {
  const { sender, pending } = await effectsOf(['ada', 'bob', 'cyd'])
  const { send, answer, isAskedFor } = receiver()
  const sending = sender(send, 4)
  const before = sending.flush()
  await isAskedFor(1, 2, 3)
  for (const position of [1, 2, 3]) answer(position, 'unreachable')
  await before
  const flushed = sending.flush()
  await isAskedFor(1, 2, 3, 1)
  void sending.flush()
  await isAskedFor(1, 2, 3, 1)
  answer(1)
  await isAskedFor(1, 2, 3, 1, 2, 3)
  for (const position of [2, 3]) answer(position)
  await flushed
  expect(await pending()).toEqual([])
})

test('a page that is full of large effects under way does not hide those behind it', async () => {
  const { view, sender, pending } = await effectsOf(['ada', 'bob', 'cyd', 'dan'])
  const { pendingEffects } = view
  // As if two filled a page.
  view.pendingEffects = (limit) => pendingEffects.call(view, Math.min(limit, 2))
  const { send, answer, isAskedFor } = receiver()
  const sending = sender(send, 4)
  const flushed = sending.flush()
  await isAskedFor(1, 2)
  void sending.flush()
  await isAskedFor(1, 2)
  for (const position of [1, 2]) answer(position)
  await isAskedFor(1, 2, 3, 4)
  for (const position of [3, 4]) answer(position)
  await flushed
  expect(await pending()).toEqual([])
})

test('that nobody takes an effect is logged once, although others are taken meanwhile', async () => {
  const { sender, pending, warnings } = await effectsOf(['ada', ...Array.from({ length: 9 }, () => 'bob')])
  const sending = sender(async (_, key) => {
    if (positionOf(key) === 1) return 'unreachable'
    // It is answered later than the other one.
    await nextTurn()
    return 'sent'
  }, 2)
  while ((await pending()).length > 1) await sending.flush()
  expect(warnings).toEqual([expect.stringContaining('An effect cannot be delivered')])
})

test('an effect that is tried again holds up its own sequence only', async () => {
  const { view, sender, pending } = await effectsOf([
    'ada',
    'ada',
    ...Array.from({ length: 300 }, (_, n) => `b${n}`),
  ])
  const begun: number[] = []
  let others = 0
  const isDone = new Promise<void>((resolve) => {
    const send: SendEffect = async (_, key) => {
      const position = positionOf(key)
      begun.push(position)
      if (position === 1) {
        // It fails when all others were sent.
        await vi.waitFor(() => expect(others).toBe(300), { timeout: 10_000 })
        throw new Error('no')
      }
      if (position > 2) others += 1
      return 'sent'
    }
    void sender(send, 4).flush().then(resolve)
  })
  await isDone
  expect(begun.filter((position) => position === 1)).toHaveLength(3)
  expect(begun.at(-1)).toBe(2)
  expect(await pending()).toEqual([])
  expect(await view.deadEffects(10)).toMatchObject([{ idempotencyKey: 'balances:1:1', attempts: 3 }])
})

test('if a receiver ends while it has several effects, only the one that ends it alone, too, becomes dead', async () => {
  const { view, sender, pending } = await effectsOf(['ada', 'bob', 'cyd', 'bob'])
  const together: number[][] = []
  let underWay: number[] = []
  const sending = sender(async (_, key) => {
    const position = positionOf(key)
    underWay.push(position)
    await nextTurn()
    const having = underWay
    if (having.length > 0) together.push(having)
    underWay = []
    // The receiver of all that are under way is the same process.
    return having.includes(2) || together.at(-1)?.includes(2) ? 'stopped' : 'sent'
  }, 4)
  for (let sweeps = 0; sweeps < 8; sweeps += 1) await sending.flush()
  expect(together).toEqual([[1, 2, 3], [1], [2], [2], [2], [3], [4]])
  expect(await pending()).toEqual([])
  expect(await view.deadEffects(10)).toMatchObject([{ idempotencyKey: 'balances:2:1', attempts: 4 }])
})

test('an effect that does not say what its sequence is, is sent alone', async () => {
  const { viewPath, sender } = await effectsOf(['ada', 'bob', 'cyd', 'dan'])
  // As an earlier version recorded it: without a sequence.
  const db = new DatabaseSync(viewPath)
  const { effectChecksum } = await import('../../src/projection/sqlite/rows.ts')
  const row = db.prepare('SELECT idempotency_key, effect FROM effects WHERE id = 3').get() as Record<
    string,
    string
  >
  const { sequence: _, ...effect } = JSON.parse(row.effect as string)
  const text = JSON.stringify(effect)
  db.prepare('UPDATE effects SET effect = ?, checksum = ? WHERE id = 3').run(
    text,
    effectChecksum(row.idempotency_key as string, text),
  )
  db.close()
  const { send, answer, isAskedFor } = receiver()
  const flushed = sender(send, 4).flush()
  await isAskedFor(1, 2)
  answer(1)
  await isAskedFor(1, 2)
  answer(2)
  await isAskedFor(1, 2, 3)
  answer(3)
  await isAskedFor(1, 2, 3, 4)
  answer(4)
  await flushed
})

test(`whatever becomes of effects, those of a sequence are sent in their order, each once (CQRS_TEST_SEED=${seed})`, async () => {
  const random = seededRandom(seed)
  for (let round = 0; round < 10; round += 1) {
    const accounts = Array.from({ length: 60 }, () => `account-${between(random, 1, 6)}`)
    const { view, sender, pending } = await effectsOf(accounts)
    const atOnce = between(random, 2, 5)
    const underWay = new Set<string>()
    const sent: number[] = []
    const sending = sender(
      async ({ sequence }, key) => {
        expect(underWay, 'one at a time of each sequence').not.toContain(sequence)
        underWay.add(String(sequence))
        expect(underWay.size).toBeLessThanOrEqual(atOnce)
        for (let turns = between(random, 0, 5); turns > 0; turns -= 1) await nextTurn()
        underWay.delete(String(sequence))
        const chance = random()
        if (chance < 0.1) return 'unreachable'
        if (chance < 0.15) return 'stopped'
        if (chance < 0.25) throw new Error('no')
        sent.push(positionOf(key))
        return 'sent'
      },
      atOnce,
      // A pause may end at once.
      () => random() < 0.05,
    )
    while ((await pending()).length > 0) await sending.flush()
    const dead = (await view.deadEffects(1_000)).map(({ idempotencyKey }) => positionOf(idempotencyKey))
    expect([...sent, ...dead].sort((a, b) => a - b)).toEqual(accounts.map((_, index) => index + 1))
    for (const account of new Set(accounts)) {
      const own = sent.filter((position) => accounts[position - 1] === account)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
  }
}, 60_000)
