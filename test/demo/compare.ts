import type { Expected } from './fold.ts'
import type { Views } from './views.ts'

/** What the system says when all is done. */
export interface Actual {
  readonly accepted: number
  readonly refused: number
  /** Where each accepted command's event stands in the log. */
  readonly positions: readonly number[]
  readonly views: Views
  /** The SKU of each alert. */
  readonly alerts: readonly string[]
}

/** Everything in which the system differs from the plain fold, one sentence each; empty if they agree. */
export function differences(expected: Expected, actual: Actual): string[] {
  return [
    ...differ('sales accepted', actual.accepted, expected.accepted),
    ...differ('sales refused', actual.refused, expected.refused),
    ...log(expected, actual),
    ...totals(expected, actual),
    ...products(expected, actual),
    ...alerts(expected, actual),
  ]
}

function differ(what: string, actual: unknown, expected: unknown): string[] {
  if (Object.is(actual, expected)) return []
  return [`${what}: the system has ${actual}, the fold ${expected}`]
}

/** Nobody else writes: one event per accepted command, at positions from 1 on without a gap. */
function log({ products, accepted }: Expected, { positions }: Actual): string[] {
  const events = products.size + accepted
  return [
    ...differ('events in the log', new Set(positions).size, events),
    ...differ('highest position', Math.max(0, ...positions), events),
  ]
}

function totals(expected: Expected, { views }: Actual): string[] {
  const fields = Object.keys(expected.totals) as (keyof Expected['totals'])[]
  return fields.flatMap((field) => differ(`total ${field}`, views.stats[field], expected.totals[field]))
}

function products(expected: Expected, { views }: Actual): string[] {
  const items = new Map(views.items.map((item) => [item.sku, item]))
  const missing = [...expected.products.keys()].filter((sku) => !items.has(sku))
  const surplus = [...items.keys()].filter((sku) => !expected.products.has(sku))
  return [
    ...missing.map((sku) => `${sku}: is not in the list`),
    ...surplus.map((sku) => `${sku}: is in the list, but not in the file`),
    ...differ('items in the list', views.items.length, expected.products.size),
    ...[...expected.products].flatMap(([sku, tally]) => {
      const item = items.get(sku)
      if (!item) return []
      return (['name', 'stock', 'unitsSold', 'revenueCents'] as const).flatMap((field) =>
        differ(`${sku} ${field}`, item[field], tally[field]),
      )
    }),
  ]
}

function alerts(expected: Expected, actual: Actual): string[] {
  const alerted = new Set(actual.alerts)
  return [
    ...differ('alerts', actual.alerts.length, expected.alerts.size),
    ...[...expected.alerts.difference(alerted)].map((sku) => `${sku}: had no alert`),
    ...[...alerted.difference(expected.alerts)].map((sku) => `${sku}: had an alert without a cause`),
  ]
}
