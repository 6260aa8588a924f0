import { defineApp } from '../../src/index.ts'
import { getOrder, getStock, orderList, orders, overdueOrders, stock, stockList } from '../docs/orders-app.ts'

/** The app of docs/sagas.md, without the reactors: its orders wait for ever. */
export default defineApp({
  name: 'orders',
  deciders: [stock, orders],
  projections: [orderList, stockList],
  queries: [getOrder, overdueOrders, getStock],
})
