import {
  conflict,
  defineApp,
  defineDecider,
  defineEvent,
  defineProjection,
  defineQuery,
  defineReactor,
  notFound,
} from 'iii-durable-cqrs'
import { z } from 'zod'

const account = z.string().regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -')
const cents = z.int().min(1).max(100_000_000)

const MoneySaved = defineEvent({ type: 'money-saved', schema: z.object({ account, cents }) })
const MoneySent = defineEvent({ type: 'money-sent', schema: z.object({ account, to: account, cents }) })
const MoneyReceived = defineEvent({
  type: 'money-received',
  schema: z.object({ account, from: account, cents }),
})

const stream = (command: { account: string }) => `account-${command.account}`

const bank = defineDecider({
  name: 'bank',
  events: [MoneySaved, MoneySent, MoneyReceived],
  initialState: () => ({ isOpen: false, cents: 0 }),
})
  .evolve({
    'money-saved': (state, { data }) => ({ isOpen: true, cents: state.cents + data.cents }),
    'money-sent': (state, { data }) => ({ ...state, cents: state.cents - data.cents }),
    'money-received': (state, { data }) => ({ ...state, cents: state.cents + data.cents }),
  })
  .commands({
    save: {
      schema: z.strictObject({ account, cents }),
      http: { method: 'POST', path: '/accounts/:account/save' },
      stream,
      decide: (command) => [{ type: 'money-saved', data: command }],
    },
    send: {
      schema: z.strictObject({ account, to: account, cents }),
      http: { method: 'POST', path: '/accounts/:account/send' },
      stream,
      decide: (command, state) =>
        command.cents <= state.cents
          ? [{ type: 'money-sent', data: command }]
          : conflict('too_little', `There are ${state.cents} cents.`, { cents: state.cents }),
    },
    // No route: only the reactor calls it.
    receive: {
      schema: z.strictObject({ account, from: account, cents }),
      stream,
      decide: (command, { isOpen }) =>
        isOpen
          ? [{ type: 'money-received', data: command }]
          : notFound('no_account', `There is no account ${command.account}.`),
    },
  })

const key = ({ data }: { data: { account: string } }) => data.account

const accounts = defineProjection({
  name: 'accounts',
  events: [MoneySaved, MoneySent, MoneyReceived],
  initial: (account: string) => ({ account, cents: 0 }),
}).on({
  'money-saved': { key, apply: (doc, { data }) => ({ ...doc, cents: doc.cents + data.cents }) },
  'money-sent': { key, apply: (doc, { data }) => ({ ...doc, cents: doc.cents - data.cents }) },
  'money-received': { key, apply: (doc, { data }) => ({ ...doc, cents: doc.cents + data.cents }) },
})

const transfers = defineReactor({
  name: 'transfers',
  events: [MoneySent],
  initial: (_account: string) => ({}),
}).on({
  'money-sent': {
    key,
    apply: (memory, { data: { account, to, cents } }, emit) => {
      emit({ kind: 'call', functionId: 'cmd::receive', data: { account: to, from: account, cents } })
      return memory
    },
  },
})

const slips = defineReactor({
  name: 'slips',
  events: [MoneySent],
  initial: (_account: string) => ({}),
}).on({
  'money-sent': {
    key,
    apply: (memory, { data }, emit) => {
      emit({ kind: 'call', functionId: 'slips::keep', data })
      if (data.cents >= 100_000) emit({ kind: 'publish', topic: 'transfers.large', data })
      return memory
    },
  },
})

const getAccount = defineQuery({
  name: 'get-account',
  reads: accounts,
  http: { method: 'GET', path: '/accounts/:account' },
  input: z.strictObject({ account }),
  run: async (view, { account }) =>
    (await view.get(account)) ?? notFound('no_account', `There is no account ${account}.`),
})

export default defineApp({
  name: 'transfers',
  deciders: [bank],
  projections: [accounts],
  reactors: [transfers, slips],
  queries: [getAccount],
})
