import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { RecordedEffect, ViewStore } from '../../src/projection/contract.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** A view that never runs out of effects, each of one of 50 sequences; the first one is alone in its sequence. */
function endlessView(): ViewStore {
  const rows = new Map<string, RecordedEffect>()
  let recorded = 0
  const record = () => {
    recorded += 1
    const idempotencyKey = `charges:${recorded}:1`
    const sequence = recorded === 1 ? 'slow' : `order-${recorded % 50}`
    const effect = { kind: 'call', functionId: 'payments::charge', data: {}, sequence } as const
    const pending = { status: 'pending', attempts: 0, error: undefined, failedAt: undefined } as const
    rows.set(idempotencyKey, { idempotencyKey, effect, ...pending })
  }
  return {
    async pendingEffects(limit: number) {
      while (rows.size < limit) record()
      return [...rows.values()].slice(0, limit)
    },
    async effectsSent(keys: readonly string[]) {
      for (const key of keys) rows.delete(key)
    },
  } as Partial<ViewStore> as ViewStore
}

test('while a receiver takes long for one effect, memory does not grow with the number of others that are sent', async () => {
  let sent = 0
  let enough = 2_000
  let isEnough = Promise.withResolvers<void>()
  const slow = Promise.withResolvers<void>()
  const ending = new AbortController()
  const sender = new EffectSender({
    view: endlessView(),
    async send(_, key) {
      await (key === 'charges:1:1' ? slow.promise : nextTurn())
      sent += 1
      if (sent === enough) isEnough.resolve()
      return 'sent'
    },
    atOnce: 16,
    maxAttempts: 1,
    maxStops: 1,
    baseMs: 1,
    capMs: 1,
    now: () => 0,
    log: pino({ level: 'silent' }),
    signal: ending.signal,
  })
  const flushed = sender.flush()
  await isEnough.promise
  const before = heapUsed()
  enough = 42_000
  isEnough = Promise.withResolvers()
  await isEnough.promise
  const after = heapUsed()
  ending.abort()
  slow.resolve()
  await flushed
  expect(after - before).toBeLessThan(5_000_000)
}, 60_000)
