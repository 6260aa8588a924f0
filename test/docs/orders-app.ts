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

const id = z.string().regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -')
const quantity = z.int().min(1).max(1_000)
const cents = z.int().min(1).max(100_000_000)

const item = z.object({ order: id, sku: id, quantity })
const order = z.object({ order: id })
const reason = z.string().max(200)

const StockReceived = defineEvent({ type: 'stock-received', schema: z.object({ sku: id, quantity }) })
const StockReserved = defineEvent({ type: 'stock-reserved', schema: item })
const StockRefused = defineEvent({ type: 'stock-refused', schema: item.extend({ reason }) })
/** `quantity` is what is free again: 0 if the order held nothing. */
const StockReleased = defineEvent({
  type: 'stock-released',
  schema: item.extend({ quantity: z.int().min(0) }),
})

const OrderPlaced = defineEvent({ type: 'order-placed', schema: item.extend({ cents }) })
const PaymentRequested = defineEvent({ type: 'payment-requested', schema: z.object({ order: id, cents }) })
const OrderConfirmed = defineEvent({ type: 'order-confirmed', schema: order })
const OrderCancelled = defineEvent({ type: 'order-cancelled', schema: item.extend({ reason }) })

interface Stock {
  readonly free: number
  /** What each order holds; 0 if it was refused, or has given back what it held, or would have held. */
  readonly held: Readonly<Record<string, number>>
}

export const stock = defineDecider({
  name: 'stock',
  events: [StockReceived, StockReserved, StockRefused, StockReleased],
  initialState: (): Stock => ({ free: 0, held: {} }),
})
  .evolve({
    'stock-received': (state, { data }) => ({ ...state, free: state.free + data.quantity }),
    'stock-reserved': ({ free, held }, { data }) => ({
      free: free - data.quantity,
      held: { ...held, [data.order]: data.quantity },
    }),
    'stock-refused': ({ free, held }, { data }) => ({ free, held: { ...held, [data.order]: 0 } }),
    'stock-released': ({ free, held }, { data }) => ({
      free: free + data.quantity,
      held: { ...held, [data.order]: 0 },
    }),
  })
  .commands({
    'receive-stock': {
      schema: z.strictObject({ sku: id, quantity }),
      http: { method: 'POST', path: '/stock/:sku' },
      stream: ({ sku }) => `stock-${sku}`,
      decide: (command) => [{ type: 'stock-received', data: command }],
    },
    // No route: only the saga calls it.
    'reserve-stock': {
      schema: z.strictObject(item.shape),
      stream: ({ sku }) => `stock-${sku}`,
      decide: (command, { free, held }) => {
        if (Object.hasOwn(held, command.order)) return []
        if (command.quantity <= free) return [{ type: 'stock-reserved', data: command }]
        return [
          { type: 'stock-refused', data: { ...command, reason: `There are ${free} of ${command.sku}.` } },
        ]
      },
    },
    'release-stock': {
      schema: z.strictObject(item.shape),
      stream: ({ sku }) => `stock-${sku}`,
      decide: (command, { held }) => {
        const quantity = Object.hasOwn(held, command.order) ? held[command.order] : undefined
        if (quantity === 0) return []
        // If the order holds nothing yet, this is stored all the same: a reservation that comes later is void.
        return [{ type: 'stock-released', data: { ...command, quantity: quantity ?? 0 } }]
      },
    },
  })

interface Order {
  readonly status: 'none' | 'placed' | 'paying' | 'confirmed' | 'cancelled'
  readonly sku: string
  readonly quantity: number
  readonly cents: number
}

export const orders = defineDecider({
  name: 'orders',
  events: [OrderPlaced, PaymentRequested, OrderConfirmed, OrderCancelled],
  initialState: (): Order => ({ status: 'none', sku: '', quantity: 0, cents: 0 }),
})
  .evolve({
    'order-placed': (_, { data: { sku, quantity, cents } }) => ({ status: 'placed', sku, quantity, cents }),
    'payment-requested': (state) => ({ ...state, status: 'paying' }),
    'order-confirmed': (state) => ({ ...state, status: 'confirmed' }),
    'order-cancelled': (state) => ({ ...state, status: 'cancelled' }),
  })
  .commands({
    'place-order': {
      schema: z.strictObject({ ...item.shape, cents }),
      http: { method: 'POST', path: '/orders', status: 201 },
      stream: ({ order }) => `order-${order}`,
      decide: (command, { status }) =>
        status === 'none'
          ? [{ type: 'order-placed', data: command }]
          : conflict('order_exists', `There is an order ${command.order} already.`),
    },
    'request-payment': {
      schema: z.strictObject({ order: id }),
      stream: ({ order }) => `order-${order}`,
      decide: ({ order }, { status, cents }) =>
        status === 'placed' ? [{ type: 'payment-requested', data: { order, cents } }] : [],
    },
    'confirm-order': {
      schema: z.strictObject({ order: id }),
      stream: ({ order }) => `order-${order}`,
      decide: (command, { status }) =>
        status === 'paying' ? [{ type: 'order-confirmed', data: command }] : [],
    },
    // A step was refused.
    'give-up-order': {
      schema: z.strictObject({ order: id, reason }),
      stream: ({ order }) => `order-${order}`,
      decide: (command, { status, sku, quantity }) =>
        status === 'placed' || status === 'paying'
          ? [{ type: 'order-cancelled', data: { ...command, sku, quantity } }]
          : [],
    },
    // The customer, or the clock, wants it no more.
    'cancel-order': {
      schema: z.strictObject({ order: id, reason }),
      http: { method: 'POST', path: '/orders/:order/cancel' },
      stream: ({ order }) => `order-${order}`,
      decide: (command, { status, sku, quantity }) => {
        if (status === 'none') return notFound('no_order', `There is no order ${command.order}.`)
        if (status === 'cancelled') return []
        if (status === 'placed') return [{ type: 'order-cancelled', data: { ...command, sku, quantity } }]
        return conflict('too_late', `The order ${command.order} is ${status}.`, { status })
      },
    },
  })

const key = ({ data }: { data: { order: string } }) => data.order

export const saga = defineReactor({
  name: 'order-saga',
  events: [OrderPlaced, StockReserved, StockRefused, OrderCancelled],
  initial: (_order: string) => ({}),
}).on({
  'order-placed': {
    key,
    apply: (memory, { data: { order, sku, quantity } }, emit) => {
      emit({ kind: 'call', functionId: 'cmd::reserve-stock', data: { order, sku, quantity } })
      return memory
    },
  },
  'stock-reserved': {
    key,
    apply: (memory, { data: { order } }, emit) => {
      emit({ kind: 'call', functionId: 'cmd::request-payment', data: { order } })
      return memory
    },
  },
  'stock-refused': {
    key,
    apply: (memory, { data: { order, reason } }, emit) => {
      emit({ kind: 'call', functionId: 'cmd::give-up-order', data: { order, reason } })
      return memory
    },
  },
  'order-cancelled': {
    key,
    apply: (memory, { data: { order, sku, quantity } }, emit) => {
      emit({ kind: 'call', functionId: 'cmd::release-stock', data: { order, sku, quantity } })
      return memory
    },
  },
})

const charges = defineReactor({
  name: 'charges',
  events: [PaymentRequested],
  initial: (_order: string) => ({}),
}).on({
  'payment-requested': {
    key,
    apply: (memory, { data }, emit) => {
      emit({ kind: 'call', functionId: 'payments::charge', data })
      return memory
    },
  },
})

export const orderList = defineProjection({
  name: 'order-list',
  events: [OrderPlaced, PaymentRequested, OrderConfirmed, OrderCancelled],
  // `waitingSince` is ISO 8601, or empty.
  initial: (order: string) => ({ order, status: 'placed', reason: '', waitingSince: '' }),
  indexes: ['waitingSince'],
}).on({
  'order-placed': { key, apply: (doc, { recordedAt }) => ({ ...doc, waitingSince: recordedAt }) },
  'payment-requested': { key, apply: (doc) => ({ ...doc, status: 'paying', waitingSince: '' }) },
  'order-confirmed': { key, apply: (doc) => ({ ...doc, status: 'confirmed' }) },
  'order-cancelled': {
    key,
    apply: (doc, { data }) => ({ ...doc, status: 'cancelled', reason: data.reason, waitingSince: '' }),
  },
})

export const stockList = defineProjection({
  name: 'stock-list',
  events: [StockReceived, StockReserved, StockReleased],
  initial: (sku: string) => ({ sku, free: 0 }),
}).on({
  'stock-received': {
    key: ({ data }) => data.sku,
    apply: (doc, { data }) => ({ ...doc, free: doc.free + data.quantity }),
  },
  'stock-reserved': {
    key: ({ data }) => data.sku,
    apply: (doc, { data }) => ({ ...doc, free: doc.free - data.quantity }),
  },
  'stock-released': {
    key: ({ data }) => data.sku,
    apply: (doc, { data }) => ({ ...doc, free: doc.free + data.quantity }),
  },
})

export const getOrder = defineQuery({
  name: 'get-order',
  reads: orderList,
  http: { method: 'GET', path: '/orders/:order' },
  input: z.strictObject({ order: id }),
  run: async (view, { order }) =>
    (await view.get(order)) ?? notFound('no_order', `There is no order ${order}.`),
})

/** The orders that have waited for stock since `before`, those that have waited longest first. */
export const overdueOrders = defineQuery({
  name: 'overdue-orders',
  reads: orderList,
  input: z.strictObject({ before: z.iso.datetime() }),
  run: (view, { before }) => view.find({ by: 'waitingSince', from: '0', to: before, limit: 100 }),
})

export const getStock = defineQuery({
  name: 'get-stock',
  reads: stockList,
  http: { method: 'GET', path: '/stock/:sku' },
  input: z.strictObject({ sku: id }),
  run: async (view, { sku }) =>
    (await view.get(sku)) ?? notFound('no_product', `There is no product ${sku}.`),
})

export default defineApp({
  name: 'orders',
  deciders: [stock, orders],
  projections: [orderList, stockList],
  reactors: [saga, charges],
  queries: [getOrder, overdueOrders, getStock],
})
