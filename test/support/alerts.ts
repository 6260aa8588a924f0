import type { IIIClient } from 'iii-sdk'
import { expect } from 'vitest'
import { LOW_STOCK_TOPIC } from '../../src/inventory/alert.ts'
import { until } from './until.ts'

/** Idempotency keys of the alerts that reach a worker, as they come; topics are not durable, so some do not. */
export function hearAlerts(worker: IIIClient): readonly string[] {
  const heard: string[] = []
  worker.registerFunction('listener::alert', async (alert: { idempotencyKey: string }) => {
    heard.push(alert.idempotencyKey)
  })
  const config = { topic: LOW_STOCK_TOPIC }
  worker.registerTrigger({ type: 'subscribe', function_id: 'listener::alert', config })
  return heard
}

/** Waits until all alerts that the log calls for were heard, and no others. @returns how many arrived again */
export async function expectHeard(heard: readonly string[], alerts: readonly string[]): Promise<number> {
  await until('all alerts are heard', () => alerts.every((key) => heard.includes(key)))
  expectCalledFor(heard, alerts)
  return repeated(heard)
}

export function expectCalledFor(heard: readonly string[], alerts: readonly string[]): void {
  const calledFor = new Set(alerts)
  expect(
    heard.filter((key) => !calledFor.has(key)),
    'alerts that the log does not call for',
  ).toEqual([])
}

/** How many alerts arrived again. */
export function repeated(heard: readonly string[]): number {
  return heard.length - new Set(heard).size
}
