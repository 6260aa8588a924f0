import { runApp } from 'iii-durable-cqrs/testing'
import { expect, test } from 'vitest'
import transfers from './transfers-app.ts'

test('money that one account sends arrives at the other', async () => {
  const slips: unknown[] = []
  await using bank = await runApp(transfers, { functions: { 'slips::keep': (slip) => slips.push(slip) } })
  await bank.command('save', { account: 'ada', cents: 1_000 })
  await bank.command('save', { account: 'bob', cents: 10 })
  expect(await bank.command('send', { account: 'ada', to: 'bob', cents: 300 })).toMatchObject({
    kind: 'accepted',
  })
  await bank.settle()
  expect(await bank.query('get-account', { account: 'bob' })).toEqual({ account: 'bob', cents: 310 })
  expect(slips).toEqual([{ account: 'ada', to: 'bob', cents: 300, idempotencyKey: 'slips:3:1' }])
})

test('money for an account that is not there waits until it is', async () => {
  await using bank = await runApp(transfers, { functions: { 'slips::keep': () => undefined } })
  await bank.command('save', { account: 'ada', cents: 1_000 })
  await bank.command('send', { account: 'ada', to: 'bob', cents: 300 })
  await expect(bank.settle()).rejects.toThrow('cmd::receive was not accepted: no_account')
  await bank.command('save', { account: 'bob', cents: 10 })
  await bank.settle()
  expect(await bank.query('get-account', { account: 'bob' })).toEqual({ account: 'bob', cents: 310 })
})
