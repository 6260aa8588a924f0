import {
  conflict,
  defineApp,
  defineDecider,
  defineEvent,
  defineProjection,
  defineQuery,
} from 'iii-durable-cqrs'
import { z } from 'zod'

const owner = z.string().min(1).max(50)
const cents = z.int().min(1).max(1_000_000)

// What can happen: the facts that are stored for good.
const MoneySaved = defineEvent({ type: 'money-saved', schema: z.object({ owner, cents }) })
const MoneySpent = defineEvent({ type: 'money-spent', schema: z.object({ owner, cents }) })

const stream = (command: { owner: string }) => `bank-${command.owner}`

// What is allowed: from the events so far to a state, from a command and the state to new events.
const bank = defineDecider({
  name: 'bank',
  events: [MoneySaved, MoneySpent],
  initialState: () => 0,
})
  .evolve({
    'money-saved': (balance, { data }) => balance + data.cents,
    'money-spent': (balance, { data }) => balance - data.cents,
  })
  .commands({
    save: {
      schema: z.strictObject({ owner, cents }),
      http: { method: 'POST', path: '/banks/:owner/save' },
      stream,
      decide: (command) => [{ type: 'money-saved', data: command }],
    },
    spend: {
      schema: z.strictObject({ owner, cents }),
      http: { method: 'POST', path: '/banks/:owner/spend' },
      stream,
      decide: (command, balance) =>
        command.cents <= balance
          ? [{ type: 'money-spent', data: command }]
          : conflict('too_little', `There are ${balance} cents.`, { balance }),
    },
  })

const key = ({ data }: { data: { owner: string } }) => data.owner

// What is shown: a document for each owner, made of the events.
const balances = defineProjection({
  name: 'balances',
  events: [MoneySaved, MoneySpent],
  initial: (owner: string) => ({ owner, cents: 0 }),
  indexes: ['cents'],
}).on({
  'money-saved': { key, apply: (bank, { data }) => ({ ...bank, cents: bank.cents + data.cents }) },
  'money-spent': { key, apply: (bank, { data }) => ({ ...bank, cents: bank.cents - data.cents }) },
})

// What can be asked.
const richest = defineQuery({
  name: 'richest',
  reads: balances,
  http: { method: 'GET', path: '/banks' },
  input: z.strictObject({}),
  run: (view) => view.find({ by: 'cents', order: 'descending', limit: 10 }),
})

export default defineApp({ name: 'banks', deciders: [bank], projections: [balances], queries: [richest] })
