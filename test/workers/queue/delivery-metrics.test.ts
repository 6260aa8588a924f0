import { expect, test } from 'vitest'
import type { DeliveryRequest } from '../../../src/queue/queue.ts'
import type { DeliveryOutcome } from '../../../src/queue/runner.ts'
import { Metrics } from '../../../src/workers/process/metrics.ts'
import { counted } from '../../../src/workers/queue/queue-delivery.ts'

test('a message that waits for its function is neither a retry nor a delivery that took time', async () => {
  const metrics = new Metrics()
  const failedOnce = { queue: 'jobs', message: { attempts: 1 } } as DeliveryRequest
  const deliver = (outcome: DeliveryOutcome) => counted(async () => outcome, metrics)(failedOnce)
  for (let second = 0; second < 5; second++) await deliver({ outcome: 'missing' })
  await deliver({ outcome: 'unsent' })
  await deliver({ outcome: 'done' })
  const text = await metrics.registry.metrics()
  expect(text).toContain('cqrs_queue_retries_total{queue="jobs"} 1\n')
  expect(text).toContain('cqrs_queue_delivery_duration_seconds_count{queue="jobs"} 1\n')
  expect(text).toContain('cqrs_queue_deliveries_total{queue="jobs",outcome="missing"} 5\n')
})
