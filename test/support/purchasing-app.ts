import { z } from 'zod'
import { defineApp, defineDecider, defineEvent, defineReactor } from '../../src/index.ts'

const goods = z.strictObject({ sku: z.string(), quantity: z.int().min(1) })
const GoodsBought = defineEvent({ type: 'goods-bought', schema: goods })

/** Buys goods, and puts them into the inventory, which is another app. For the sku `typo` it calls a command of nobody. */
const purchases = defineDecider({ name: 'purchases', events: [GoodsBought], initialState: () => 0 })
  .evolve({ 'goods-bought': (count) => count + 1 })
  .commands({
    'buy-goods': {
      schema: goods,
      http: { method: 'POST', path: '/purchases' },
      stream: ({ sku }) => `purchases-${sku}`,
      decide: (data) => [{ type: 'goods-bought', data }],
    },
  })

const deliveries = defineReactor({ name: 'deliveries', events: [GoodsBought], initial: () => ({}) }).on({
  'goods-bought': {
    key: ({ data }) => data.sku,
    apply: (memory, { data }, emit) => {
      emit({ kind: 'call', functionId: data.sku === 'typo' ? 'cmd::restok-item' : 'cmd::restock-item', data })
      return memory
    },
  },
})

export default defineApp({ name: 'purchasing', deciders: [purchases], reactors: [deliveries] })
