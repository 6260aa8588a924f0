import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { defineProjection } from '../../src/kernel/projection.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances, Moved } from '../support/ledger-app.ts'

test('the view holds what the events say, and the checkpoint where it is', async () => {
  const { move, projector, document, view } = ledger()
  await move('ada', 10)
  await move('ada', 5)
  await move('bob', 7)
  await toHead(projector())
  expect(await document('ada')).toEqual({ account: 'ada', balance: 15, moves: 2 })
  expect(await document('bob')).toEqual({ account: 'bob', balance: 7, moves: 1 })
  expect(await view.checkpoint()).toMatchObject({ position: 3, processed: 3 })
})

test('an event can change several documents at once', async () => {
  const { move, projector, document } = ledger()
  await move('ada', -4, 'bob')
  await toHead(projector())
  expect([await document('ada'), await document('bob')]).toMatchObject([{ balance: -4 }, { balance: 4 }])
})

test('a new projector goes on where the last one stopped', async () => {
  const { move, projector, document } = ledger()
  await move('ada', 1)
  await toHead(projector())
  await move('ada', 2)
  await toHead(projector())
  expect(await document('ada')).toMatchObject({ balance: 3, moves: 2 })
})

test('the digest says which events were processed, whatever the size of the batches', async () => {
  const one = ledger()
  for (let amount = 1; amount <= 7; amount += 1) await one.move('ada', amount)
  await one.appendRaw('notes', 0, 'noted', { text: 'not one of its events' })
  await toHead(one.projector({ batchSize: 2 }))
  const small = await one.view.checkpoint()
  const fresh = one.openView
  await one.view.close()
  const vandal = new DatabaseSync(one.viewPath)
  vandal.exec(`UPDATE checkpoint SET position = 0, processed = 0, digest = '${'0'.repeat(64)}'`)
  vandal.close()
  const view = fresh()
  await toHead(one.projector({ view, batchSize: 100 }))
  expect(await view.checkpoint()).toMatchObject({ position: 8, processed: 7, digest: small.digest })
})

test('a batch is bounded in bytes as well, and large events are applied one by one', async () => {
  const { appendRaw, projector, view } = ledger()
  const sizes = [1, 1, 5_000, 1, 5_000, 5_000, 1]
  for (const [index, size] of sizes.entries())
    await appendRaw(`s-${index}`, 0, 'moved', { account: 'a'.repeat(size), amount: 1 })
  const live = projector({ batchBytes: 1_000 })
  const ends: number[] = []
  while ((await live.step()) === 'advanced') ends.push((await view.checkpoint()).position)
  expect(ends).toEqual([3, 5, 6, 7])
  expect(await view.checkpoint()).toMatchObject({ processed: 7 })
})

test('two projectors on one view apply every event once: the slower one is fenced off', async () => {
  const { move, projector, document, openView } = ledger()
  for (let index = 0; index < 50; index += 1) await move('ada', 1)
  const first = projector({ batchSize: 3 })
  const second = projector({ batchSize: 4, view: openView() })
  expect(await first.step()).toBe('advanced')
  const outcomes = await Promise.all([
    (async () => {
      const seen: string[] = []
      for (;;) {
        const outcome = await second.step()
        seen.push(outcome)
        if (outcome === 'at-head') return seen
        await new Promise(setImmediate)
      }
    })(),
    (async () => {
      while ((await first.step()) !== 'at-head') await new Promise(setImmediate)
    })(),
  ])
  expect(outcomes[0]).toContain('superseded')
  expect(await document('ada')).toEqual({ account: 'ada', balance: 50, moves: 50 })
})

test('an effect is recorded with the event that caused it, under a key that never changes', async () => {
  const { log, move, projector, view } = ledger()
  await move('ada', 5)
  await move('ada', -6)
  await move('bob', -1)
  await toHead(projector())
  const [cause] = (await log.readFrom(1, { limit: 1 })).events
  expect(await view.pendingEffects(10)).toEqual([
    {
      idempotencyKey: 'balances:2:1',
      effect: {
        kind: 'publish',
        topic: 'overdrawn',
        data: { account: 'ada', balance: -1 },
        correlationId: cause?.metadata.correlationId,
        causationId: cause?.id,
        sequence: 'ada',
      },
      status: 'pending',
      attempts: 0,
      error: undefined,
    },
    expect.objectContaining({ idempotencyKey: 'balances:3:1' }),
  ])
})

test('a handler that fails on the second of its documents changes neither', async () => {
  const { move, projector, document, view } = ledger(balances({ fails: (account) => account === 'bob' }))
  await move('ada', -4, 'bob')
  await toHead(projector())
  expect([await document('ada'), await document('bob')]).toEqual([undefined, undefined])
  expect(await view.pendingEffects(10)).toEqual([])
  expect(await view.parkedCounts()).toEqual({ retrying: 1, dead: 0, waiting: 0 })
})

test('a handler that changes its document in place fails instead of leaving half a change', async () => {
  const careless = defineProjection({
    name: 'balances',
    events: [Moved],
    initial: (account: string) => ({ account, amounts: [] as number[] }),
  }).on({
    moved: {
      key: ({ data }) => data.account,
      apply: (document, { data }) => {
        document.amounts.push(data.amount)
        return document
      },
    },
  })
  const { move, projector, view, document } = ledger(careless)
  await move('ada', 1)
  await toHead(projector())
  expect((await view.letters({ after: 0, limit: 1 }))[0]?.event.failures[0]?.message).toMatch(
    /not extensible/,
  )
  expect(await document('ada')).toBeUndefined()
})

test('a handler that returns nothing is told so', async () => {
  const forgetful = defineProjection({
    name: 'balances',
    events: [Moved],
    initial: (account: string) => ({ account }),
  }).on({ moved: { key: ({ data }) => data.account, apply: () => undefined as never } })
  const { move, projector, view } = ledger(forgetful)
  await move('ada', 1)
  await toHead(projector())
  expect((await view.letters({ after: 0, limit: 1 }))[0]?.event.failures[0]?.message).toMatch(
    /returned nothing; return the document, or null/,
  )
})

test('a document that is removed starts anew with its next event', async () => {
  const closing = defineProjection({
    name: 'balances',
    events: [Moved],
    initial: (account: string) => ({ account, balance: 0 }),
  }).on({
    moved: {
      key: ({ data }) => data.account,
      apply: (document, { data }) =>
        data.amount === 0 ? null : { ...document, balance: document.balance + data.amount },
    },
  })
  const { move, projector, document } = ledger(closing)
  await move('ada', 3)
  await move('ada', 0)
  await toHead(projector())
  expect(await document('ada')).toBeUndefined()
  await move('ada', 4)
  await toHead(projector())
  expect(await document('ada')).toEqual({ account: 'ada', balance: 4 })
})
