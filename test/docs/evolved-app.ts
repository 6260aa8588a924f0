import { conflict, defineApp, defineDecider, defineEvent, defineProjection } from 'iii-durable-cqrs'
import { z } from 'zod'

const owner = z.string().min(1).max(50)
const cents = z.int().min(1).max(1_000_000)

// No command makes it any more, but the log has it.
const MoneySaved = defineEvent({ type: 'money-saved', schema: z.object({ owner, cents }) })
const MoneyDeposited = defineEvent({
  type: 'money-deposited',
  schema: z.object({ owner, cents, branch: z.string() }),
})
const MoneySpent = defineEvent({ type: 'money-spent', schema: z.object({ owner, cents }) })

const added = (balance: number, { data }: { data: { cents: number } }) => balance + data.cents

const stream = (command: { owner: string }) => `bank-${command.owner}`

export const bank = defineDecider({
  name: 'bank',
  events: [MoneySaved, MoneyDeposited, MoneySpent],
  initialState: () => 0,
})
  .evolve({
    'money-saved': added,
    'money-deposited': added,
    'money-spent': (balance, { data }) => balance - data.cents,
  })
  .commands({
    deposit: {
      schema: z.strictObject({ owner, cents, branch: z.string().default('unknown') }),
      http: { method: 'POST', path: '/banks/:owner/save' },
      stream,
      decide: (command) => [{ type: 'money-deposited', data: command }],
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

const balances = defineProjection({
  name: 'balances',
  // It handles another type of event than before.
  version: 2,
  events: [MoneySaved, MoneyDeposited, MoneySpent],
  initial: (owner: string) => ({ owner, cents: 0 }),
  indexes: ['cents'],
}).on({
  'money-saved': { key, apply: (bank, event) => ({ ...bank, cents: added(bank.cents, event) }) },
  'money-deposited': { key, apply: (bank, event) => ({ ...bank, cents: added(bank.cents, event) }) },
  'money-spent': { key, apply: (bank, { data }) => ({ ...bank, cents: bank.cents - data.cents }) },
})

export default defineApp({ name: 'banks', deciders: [bank], projections: [balances] })
