import { expect, test } from 'vitest'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

test('a report says how many events a fold could not apply, and why, since its files may be gone', async () => {
  const { move, work } = generations()
  const failing = new Set<string>()
  const worker = await work(balances({ fails: (account) => failing.has(account) }))
  for (const amount of [1, 2, 3]) await move('ada', amount)
  await move('bob', 5)
  await worker.settle()
  // From now on the code cannot apply what the view has applied already.
  failing.add('ada')
  await worker.request({ purpose: 'verify' })
  await worker.settle()
  const [before, verified] = (await worker.control.projection('balances'))?.generations ?? []
  expect(before).toMatchObject({ state: 'active' })
  expect(verified).toMatchObject({
    state: 'verified',
    report: {
      removed: 1,
      before: { documents: 2 },
      after: { documents: 1, parked: { events: 3, error: 'cannot apply 1' } },
    },
  })
  expect(verified?.report).not.toHaveProperty('before.parked')
})
