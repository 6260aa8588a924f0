import { expect, test } from 'vitest'
import { z } from 'zod'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { defineReactor } from '../../src/kernel/projection.ts'
import { fold } from '../../src/projection/fold.ts'
import { sendEffect } from '../../src/workers/projections/send-effect.ts'

const Sent = defineEvent({ type: 'sent', schema: z.object({ length: z.int() }) })

const notes = defineReactor({ name: 'notes', events: [Sent], initial: () => ({}) }).on({
  sent: {
    key: () => 'one',
    apply: (memory, { data }, emit) => {
      emit({ kind: 'call', functionId: 'mail::send', data: { text: 'x'.repeat(data.length) } })
      return memory
    },
  },
})

test('an event whose effect the engine would not take fails, instead of being sent again and again', () => {
  const sent = (length: number) => {
    const event = { type: 'sent', data: { length } } as unknown as RecordedEvent
    return fold(notes, { ok: true, event, keys: ['one'] }, new Map())
  }
  expect(sent(16_000_000)).toMatchObject({ ok: true })
  expect(sent(17_000_000)).toMatchObject({ ok: false, error: { code: 'CQRS_TOO_LARGE' } })
})

test('an effect that was recorded before and is too large is not sent', async () => {
  const calls: unknown[] = []
  const iii = { trigger: async (call: unknown) => calls.push(call) } as never
  const effect = { kind: 'publish', topic: 'all', data: { text: 'é'.repeat(9_000_000) } } as const
  await expect(
    sendEffect(iii, effect, 'notes:1:1', { timeoutMs: 5_000, others: { met() {}, missed() {} } }),
  ).rejects.toThrow('An effect has 18000051 bytes of JSON')
  expect(calls).toEqual([])
})
