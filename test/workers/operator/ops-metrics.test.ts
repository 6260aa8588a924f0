import { expect, test } from 'vitest'
import type { App } from '../../../src/kernel/app.ts'
import type { System } from '../../../src/operator/system.ts'
import { renderMetrics } from '../../../src/workers/operator/ops-metrics.ts'
import { balances } from '../../support/ledger-app.ts'

test('parts that do not answer are waited for side by side, not one after the other', async () => {
  const unit = balances()
  const asked = new Set<string>()
  // Nobody answers before everybody was asked.
  const all = Promise.withResolvers<void>()
  const silent = async (what: string) => {
    asked.add(what)
    if (asked.size === 3) all.resolve()
    await all.promise
    throw new Error(`${what} is not answered in time`)
  }
  const system = {
    app: { name: 'ledger', projections: new Map([['balances', unit]]) } as unknown as App,
    log: { head: async () => 0 },
    control: { projection: async () => undefined },
    splitOtherwise: () => undefined,
    standing: async () => ({
      position: 0,
      parked: { retrying: 0, dead: 0, waiting: 0 },
      effects: { pending: 0, dead: 0 },
    }),
    ask: async (id: string) =>
      id === 'engine::functions::list' ? { functions: [{ function_id: unit.functionId }] } : silent(id),
    disk: async () => ({ free: 1, total: 2 }),
    now: () => new Date(0),
  } as unknown as System
  const told = silent('processes').catch(() => [])
  const text = await renderMetrics(system, told)
  expect([...asked].sort()).toEqual(['engine::queue::topic_stats', 'iii::queue::list', 'processes'])
  expect(text).toContain('cqrs_queue_provider_up 0')
  expect(text).toContain('cqrs_projection_owned{projection="balances"} 1')
})

test('an empty queue has no oldest message, and so no age, however long its figures take', async () => {
  let now = 0
  const empty = {
    queue: 'default',
    topic: null,
    depth: 0,
    dlq_depth: 0,
    in_flight: 0,
    paused: false,
    oldest_at: null,
  }
  const listed = { ...empty, retrying: 0, waiting_for_functions: [], config: { type: 'standard' } }
  const system = {
    app: { name: 'ledger', projections: new Map() } as unknown as App,
    log: { head: async () => 0 },
    ask: async (id: string) => (id === 'iii::queue::list' ? [listed] : { functions: [] }),
    disk: async () => ({ free: 1, total: 2 }),
    // Each look at it takes a millisecond.
    now() {
      now += 1
      return new Date(now)
    },
  } as unknown as System
  const text = await renderMetrics(system, Promise.resolve([]))
  expect(text).toContain('cqrs_queue_depth{queue="default"} 0')
  expect(text).toContain('cqrs_queue_oldest_message_age_seconds{queue="default"} 0\n')
})

test('of thousands of queues each is told once, however many pages it takes', async () => {
  const names = Array.from({ length: 3_000 }, (_, index) => `q${index}`).sort()
  let told = 0
  const ask = async (
    id: string,
    { after = '', limit = names.length }: { after?: string; limit?: number },
  ) => {
    if (id !== 'iii::queue::list') return { functions: [] }
    const page = names.filter((queue) => queue > after).slice(0, limit)
    told += page.length
    const figures = { depth: 1, dlq_depth: 0, in_flight: 0, retrying: 0, oldest_at: null, config: {} }
    return page.map((queue) => ({ queue, topic: null, paused: false, waiting_for_functions: [], ...figures }))
  }
  const system = {
    app: { name: 'ledger', projections: new Map() } as unknown as App,
    log: { head: async () => 0 },
    ask,
    disk: async () => ({ free: 1, total: 2 }),
    now: () => new Date(0),
  } as unknown as System
  const text = await renderMetrics(system, Promise.resolve([]))
  expect(text.match(/^cqrs_queue_depth\{.* 1$/gm)).toHaveLength(names.length)
  // One of each page is the first of the next.
  expect(told).toBeLessThan(names.length + 20)
})
