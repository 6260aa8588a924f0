import { expect, test } from 'vitest'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

test('parked sequences are looked up only for the events of a batch, and not at all while none is parked', async () => {
  const failing = new Set<string>()
  const { view, move, projector } = ledger(balances({ fails: (account) => failing.has(account) }))
  const { parkedSequences } = view
  const asked: string[][] = []
  view.parkedSequences = (among) => {
    asked.push([...among])
    return parkedSequences.call(view, among)
  }
  const accounts = Array.from({ length: 20 }, (_, index) => `account-${index}`)
  const one = projector()
  for (const account of accounts) await move(account, 1)
  await toHead(one)
  for (const account of accounts) await move(account, 1)
  await toHead(one)
  expect(asked).toEqual([])

  for (const account of accounts) failing.add(account)
  for (const account of accounts) await move(account, 1)
  await toHead(one)
  failing.clear()
  await move('account-7', 1)
  await move('somebody', 1)
  await toHead(one)
  expect(asked).toEqual([['account-7', 'somebody']])
  expect(await view.parkedCounts()).toMatchObject({ waiting: 1 })

  // So does one that has just begun, and it waits for nobody once nothing is parked.
  const other = projector()
  for (const account of accounts) await other.retry((await view.sequence(account, 1))[0]?.position ?? 0)
  await move('account-7', 1)
  await toHead(other)
  expect(asked).toHaveLength(1)
  expect([...(await view.load(['account-7'])).values()]).toMatchObject([{ moves: 5 }])
})
