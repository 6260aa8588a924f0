import { z } from 'zod'
import { defineDecider } from '../kernel/decider.ts'
import { conflict, notFound, type Rejection } from '../kernel/rejection.ts'
import { itemEvents } from './events.ts'
import { cents, line, quantity, sku } from './values.ts'

/** What the decisions about one item need to know of its past. */
type ItemState =
  | { readonly status: 'unknown' }
  | { readonly status: 'active' | 'discontinued'; readonly stock: number; readonly priceCents: number }

const stream = (command: { sku: string }) => itemStream(command.sku)

/** The stream that holds everything about one SKU. */
export function itemStream(sku: string): string {
  return `inventory-item-${sku}`
}

/** The decider of inventory items: one stream per SKU. */
export const inventoryItem = defineDecider({
  name: 'inventory-item',
  events: itemEvents,
  initialState: (): ItemState => ({ status: 'unknown' }),
})
  .evolve({
    'inventory-item-added': (_, { data }) => ({
      status: 'active',
      stock: data.quantity,
      priceCents: data.priceCents,
    }),
    'inventory-item-sold': (state, { data }) => withStock(state, -data.quantity),
    'inventory-item-restocked': (state, { data }) => withStock(state, data.quantity),
    'inventory-price-adjusted': (state, { data }) => ({ ...state, priceCents: data.priceCents }),
    'inventory-item-discontinued': (state) =>
      state.status === 'unknown' ? state : { ...state, status: 'discontinued' },
  })
  .commands({
    'add-inventory-item': {
      schema: z.strictObject({
        sku,
        name: line,
        category: line.default('uncategorised'),
        priceCents: cents,
        quantity: quantity.or(z.literal(0)).default(0),
        lowStockThreshold: z.int().min(0).max(1_000_000).default(5),
      }),
      http: { method: 'POST', path: '/inventory', status: 201 },
      stream,
      decide: (command, state) =>
        state.status === 'unknown'
          ? [{ type: 'inventory-item-added', data: command }]
          : conflict('duplicate_sku', `There is an item with the SKU ${command.sku} already.`),
    },
    'sell-item': {
      schema: z.strictObject({
        sku,
        quantity,
        /** What was paid for all units; price times quantity if left out. */
        totalCents: cents.optional(),
      }),
      http: { method: 'POST', path: '/inventory/:sku/sell' },
      stream,
      decide: (command, state) => {
        if (state.status !== 'active') return unavailable(command.sku, state)
        if (state.stock < command.quantity) {
          return conflict(
            'insufficient_stock',
            `${command.quantity} of ${command.sku} were asked for; ${state.stock} are in stock.`,
            { available: state.stock },
          )
        }
        const totalCents = command.totalCents ?? state.priceCents * command.quantity
        if (!cents.safeParse(totalCents).success) {
          return conflict(
            'total_too_high',
            `A sale of ${totalCents} cents exceeds the limit of a single sale.`,
          )
        }
        return [
          { type: 'inventory-item-sold', data: { sku: command.sku, quantity: command.quantity, totalCents } },
        ]
      },
    },
    'restock-item': {
      schema: z.strictObject({ sku, quantity }),
      http: { method: 'POST', path: '/inventory/:sku/restock' },
      stream,
      decide: (command, state) =>
        state.status === 'active'
          ? [{ type: 'inventory-item-restocked', data: command }]
          : unavailable(command.sku, state),
    },
    'adjust-price': {
      schema: z.strictObject({ sku, priceCents: cents }),
      http: { method: 'POST', path: '/inventory/:sku/price' },
      stream,
      decide: (command, state) => {
        if (state.status !== 'active') return unavailable(command.sku, state)
        if (state.priceCents === command.priceCents) return []
        return [
          { type: 'inventory-price-adjusted', data: { ...command, previousPriceCents: state.priceCents } },
        ]
      },
    },
    'discontinue-item': {
      schema: z.strictObject({ sku, reason: line.optional() }),
      http: { method: 'POST', path: '/inventory/:sku/discontinue' },
      stream,
      decide: (command, state) =>
        state.status === 'active'
          ? [{ type: 'inventory-item-discontinued', data: command }]
          : unavailable(command.sku, state),
    },
  })

function withStock(state: ItemState, change: number): ItemState {
  return state.status === 'unknown' ? state : { ...state, stock: state.stock + change }
}

function unavailable(sku: string, state: ItemState): Rejection {
  return state.status === 'unknown'
    ? notFound('unknown_item', `There is no item with the SKU ${sku}.`)
    : conflict('item_discontinued', `The item ${sku} is discontinued.`)
}
