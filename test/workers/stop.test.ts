import { TriggerAction } from 'iii-sdk'
import { expect, test } from 'vitest'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startPart } from '../support/system.ts'
import { until } from '../support/until.ts'

test('a worker that finishes what is under way while its engine goes has no trouble to tell of', async () => {
  const site = await newSite({ CQRS_LOG_LEVEL: 'debug', CQRS_QUEUE_DRAIN_MS: '2000' })
  const engine = await startPart(site, 'engine')
  const worker = await startPart(site, 'queue')
  const other = await sdkWorker(site.engine)
  const begun = Promise.withResolvers<void>()
  other.registerFunction('test::never', () => {
    begun.resolve()
    return new Promise(() => {})
  })
  await other.trigger({
    function_id: 'test::never',
    payload: {},
    action: TriggerAction.Enqueue({ queue: 'default' }),
  })
  await begun.promise
  worker.signal('SIGTERM')
  await until('the worker stops', () => worker.output.includes('"msg":"stopping"'))
  await engine.end('SIGKILL')
  expect(await worker.exited).toEqual({ code: 0, signal: null })
  const lines = worker.output.split('\n').filter((line) => line.includes('[iii] WebSocket error'))
  const levels = lines.map((line) => (JSON.parse(line) as { level: number }).level)
  expect(levels.length).toBeGreaterThan(0)
  expect(levels.filter((level) => level >= 40)).toEqual([])
})
