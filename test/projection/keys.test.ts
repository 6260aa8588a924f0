import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvent, EventCatalog } from '../../src/kernel/event.ts'
import { defineProjection } from '../../src/kernel/projection.ts'
import { prepare } from '../../src/projection/fold.ts'

const moved = defineEvent({ type: 'moved', schema: z.object({ accounts: z.unknown() }) })
const balances = defineProjection({ name: 'balances', events: [moved], initial: () => ({ moves: 0 }) }).on({
  moved: {
    key: ({ data }) => data.accounts as string[],
    apply: ({ moves }) => ({ moves: moves + 1 }),
  },
})

const prepared = (accounts: unknown) =>
  prepare(balances, new EventCatalog([moved]), {
    position: 1,
    id: 'id-1',
    stream: 'accounts',
    version: 1,
    type: 'moved',
    schemaVersion: 1,
    data: { accounts },
    metadata: { commandId: 'command-1', correlationId: 'command-1' },
    recordedAt: '2026-01-01T00:00:00.000Z',
  })

test('a document that is named twice is folded once', () => {
  expect(prepared('ann')).toMatchObject({ ok: true, keys: ['ann'] })
  expect(prepared(['ann', 'bob', 'ann'])).toMatchObject({ ok: true, keys: ['ann', 'bob'] })
  expect(prepared([])).toMatchObject({ ok: true, keys: [] })
})

test('a key that is no string is refused with what it is and what to give instead', () => {
  const give = 'return a string or an array of strings'
  for (const [accounts, found] of [
    [['ann', undefined], 'undefined'],
    [[null], 'object'],
    [['ann', 7], 'number'],
  ] as const) {
    expect(prepared(accounts)).toEqual({
      ok: false,
      error: new TypeError(`key() returned ${found}; ${give}`),
    })
  }
})
