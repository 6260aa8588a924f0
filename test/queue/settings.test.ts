import { expect, test } from 'vitest'
import { parseQueueSettings } from '../../src/queue/settings.ts'
import {
  settingsWithoutEffect,
  subscriberConfig,
  subscriberSettings,
} from '../../src/workers/queue/queue-payloads.ts'

const subscribed = (queue_config?: object) =>
  subscriberSettings(subscriberConfig.parse({ topic: 'orders', queue_config }))

test('the first wait is as long as it was set, also if that is more than the longest wait by default', () => {
  expect(parseQueueSettings('jobs', {}).max_backoff_ms).toBe(60_000)
  expect(parseQueueSettings('jobs', { backoff_ms: 300_000 }).max_backoff_ms).toBe(300_000)
  expect(parseQueueSettings('jobs', { backoff_ms: 300_000, max_backoff_ms: 5 }).max_backoff_ms).toBe(5)
})

test('a subscriber that sets nothing has the settings of a queue that sets nothing', () => {
  expect(subscribed()).toEqual(parseQueueSettings('jobs', {}))
  expect(subscribed({})).toEqual(subscribed())
})

test("iii's names for the settings of a subscriber mean what they mean in iii", () => {
  // There, `maxRetries` does not count the first delivery.
  expect(subscribed({ maxRetries: 0 }).max_retries).toBe(1)
  expect(subscribed({ maxRetries: 4, backoffDelayMs: 50, type: 'concurrent' })).toMatchObject({
    max_retries: 5,
    backoff_ms: 50,
    type: 'standard',
  })
  expect(subscribed({ type: 'fifo', concurrency: 0 })).toMatchObject({ type: 'fifo', concurrency: 0 })
})

test('a subscriber can use the names of a named queue, which come first', () => {
  const both = { max_retries: 7, maxRetries: 1, backoff_ms: 20, backoffDelayMs: 50, timeout_ms: 100 }
  expect(subscribed(both)).toMatchObject({ max_retries: 7, backoff_ms: 20, timeout_ms: 100 })
})

test('a setting of a subscriber that is wrong or unknown is refused and named', () => {
  expect(() => subscribed({ maxRetry: 3 })).toThrow(/"orders".*maxRetry: is not known/)
  expect(() => subscribed({ timeout_ms: 0 })).toThrow(/timeout_ms/)
  expect(() => subscribed({ maxRetries: -1 })).toThrow(/maxRetries/)
})

test('settings that only other queues of iii have are accepted and named', () => {
  const given = {
    maxRetries: 1,
    delaySeconds: 5,
    visibilityTimeout: 30,
    backoffType: 'fixed',
    maxPriority: 3,
  }
  expect(subscribed(given)).toEqual(subscribed({ maxRetries: 1 }))
  expect(settingsWithoutEffect(given)).toEqual([
    'maxPriority',
    'visibilityTimeout',
    'delaySeconds',
    'backoffType',
  ])
  expect(settingsWithoutEffect({ max_priority: 2, poll_interval_ms: 50 })).toEqual(['max_priority'])
  expect([undefined, null, 'text', {}].flatMap(settingsWithoutEffect)).toEqual([])
})
