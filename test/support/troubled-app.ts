import { defineApp } from '../../src/kernel/app.ts'
import { defineProjection } from '../../src/kernel/projection.ts'
import { Moved } from './ledger-app.ts'

/** An app whose handler does, for some accounts, what handlers should not do. */
const troubled = defineProjection({
  name: 'troubled',
  events: [Moved],
  initial: (account: string) => ({ account, balance: 0 }),
  indexes: ['balance'],
}).on({
  moved: {
    key: ({ data }) => data.account,
    apply(document, { data }) {
      if (data.account === 'throws' && data.amount === 1) throw new Error('not this one')
      if (data.account === 'ends') process.exit(3)
      if (data.account === 'hangs') for (;;);
      return { ...document, balance: document.balance + data.amount }
    },
  },
})

export default defineApp({ name: 'troubled', deciders: [], projections: [troubled], queries: [] })
