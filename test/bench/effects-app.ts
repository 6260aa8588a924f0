import { z } from 'zod'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { defineReactor } from '../../src/kernel/projection.ts'

const order = z.strictObject({ order: z.string() })

export const Placed = defineEvent({ type: 'placed', schema: order })
const Confirmed = defineEvent({ type: 'confirmed', schema: order })

const orders = defineDecider({
  name: 'orders',
  events: [Placed, Confirmed],
  initialState: () => ({ confirmed: 0 }),
})
  .evolve({
    placed: (state) => state,
    confirmed: ({ confirmed }) => ({ confirmed: confirmed + 1 }),
  })
  .commands({
    // No route: only the reactor calls it.
    confirm: {
      schema: order,
      stream: ({ order }) => `order-${order}`,
      decide: (command) => [{ type: 'confirmed', data: command }],
    },
  })

/** What the effects of the bench call: a command of the app, or a function of another worker. */
const receiver = process.env.BENCH_RECEIVER ?? 'cmd::confirm'

const confirmations = defineReactor({
  name: 'confirmations',
  events: [Placed],
  initial: () => ({}),
}).on({
  placed: {
    key: ({ data }) => data.order,
    apply: (memory, { data }, emit) => {
      emit({ kind: 'call', functionId: receiver, data })
      return memory
    },
  },
})

/** What test/bench/effects.ts measures. */
export default defineApp({
  name: 'orders',
  deciders: [orders],
  projections: [confirmations],
  queries: [],
})
