import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { CommandExecutor } from '../../src/command/execute.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { type DeciderDefinition, defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { conflict } from '../../src/kernel/rejection.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

const Paid = defineEvent({ type: 'paid', schema: z.object({ amounts: z.array(z.int()) }) })
const Frozen = defineEvent({ type: 'frozen', schema: z.object({}) })
const schema = z.strictObject({ amounts: z.array(z.int()) })
const stream = () => 'account-1'

/** Runs commands of those deciders on a log of their own, with all streams in memory. */
function commandsOf(...deciders: DeciderDefinition[]) {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const executor = new CommandExecutor({
    app: defineApp({ name: 'bank', deciders, projections: [], queries: [] }),
    log,
    streamCacheSize: 10,
    conflictRetries: 3,
    onAppended: () => {},
    now: () => new Date(0),
  })
  const run = (name: string, input: unknown) => executor.execute(name, input, { commandId: 'c' })
  return { log, run }
}

test('two deciders on one stream have a state each, and each sees what the other appended', async () => {
  const payments = defineDecider({ name: 'payments', events: [Paid, Frozen], initialState: () => 0 })
    .evolve({ paid: (count) => count + 1, frozen: () => Number.NaN })
    .commands({
      pay: {
        schema,
        stream,
        decide: ({ amounts }, count) =>
          Number.isNaN(count) ? conflict('frozen', 'It is frozen.') : [{ type: 'paid', data: { amounts } }],
      },
    })
  const supervision = defineDecider({
    name: 'supervision',
    events: [Paid, Frozen],
    initialState: () => ({ cents: 0 }),
  })
    .evolve({
      paid: ({ cents }, { data }) => ({ cents: data.amounts.reduce((sum, each) => sum + each, cents) }),
      frozen: (state) => state,
    })
    .commands({
      freeze: {
        schema: z.strictObject({}),
        stream,
        decide: (_, { cents }) =>
          cents >= 100 ? [{ type: 'frozen', data: {} }] : conflict('too_little', `Only ${cents}.`),
      },
    })
  const { run } = commandsOf(payments, supervision)

  expect(await run('pay', { amounts: [60] })).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await run('freeze', {})).toMatchObject({ kind: 'rejected', rejection: { message: 'Only 60.' } })
  expect(await run('pay', { amounts: [20, 20] })).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await run('freeze', {})).toMatchObject({ kind: 'accepted', version: 3 })
  expect(await run('pay', { amounts: [1] })).toMatchObject({ kind: 'rejected' })
})

test('code that changes a state, an input or an event in place fails, and leaves nothing for the next command', async () => {
  const faulty = { decide: false, input: false, evolve: false }
  const account = defineDecider({
    name: 'account',
    events: [Paid],
    initialState: () => ({ left: 100, paid: [] as number[] }),
  })
    .evolve({
      paid: (state, { data }) => {
        if (faulty.evolve) data.amounts.reverse()
        return {
          left: data.amounts.reduce((left, each) => left - each, state.left),
          paid: [...state.paid, ...data.amounts],
        }
      },
    })
    .commands({
      pay: {
        schema,
        stream,
        decide: ({ amounts }, state) => {
          if (faulty.decide) state.paid.push(...amounts)
          if (faulty.input) amounts.push(0)
          return amounts.reduce((left, each) => left - each, state.left) < 0
            ? conflict('too_little', `${state.left} are left after ${state.paid}.`)
            : [{ type: 'paid', data: { amounts } }]
        },
      },
    })
  const { log, run } = commandsOf(account)
  await run('pay', { amounts: [30, 40] })
  for (const place of ['decide', 'input', 'evolve'] as const) {
    faulty[place] = true
    await expect(run('pay', { amounts: [1, 2] }), place).rejects.toThrow(TypeError)
    faulty[place] = false
  }
  expect(await log.head()).toBe(1)
  expect(await run('pay', { amounts: [40] })).toMatchObject({
    rejection: { message: '30 are left after 30,40.' },
  })
})

test('a state of a class that an event changed halfway is folded anew', async () => {
  class Purse {
    left = 100
    payments = 0
  }
  let faulty = false
  const purse = defineDecider({ name: 'purse', events: [Paid], initialState: () => new Purse() })
    .evolve({
      paid: (state, { data }) => {
        state.payments += 1
        if (faulty) throw new Error('faulty')
        state.left -= data.amounts[0] ?? 0
        return state
      },
    })
    .commands({
      pay: {
        schema,
        stream,
        decide: ({ amounts: [amount = 0] }, { left, payments }) =>
          left < amount
            ? conflict('too_little', `${left} left, ${payments} payments.`)
            : [{ type: 'paid', data: { amounts: [amount] } }],
      },
    })
  const { run } = commandsOf(purse)
  await run('pay', { amounts: [30] })
  faulty = true
  await expect(run('pay', { amounts: [1] })).rejects.toThrow('faulty')
  faulty = false
  expect(await run('pay', { amounts: [80] })).toMatchObject({
    rejection: { message: '70 left, 1 payments.' },
  })
})
