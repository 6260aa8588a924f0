import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { LOW_STOCK_TOPIC } from '../../../src/inventory/alert.ts'
import { type CollectedSpan, startCollector } from '../../support/collector.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { newSite, type Site, startPart, startParts } from '../../support/system.ts'
import { eventually, until } from '../../support/until.ts'

const POISONED_APP = fileURLToPath(new URL('../../support/poisoned-app.ts', import.meta.url))

/** A trace that some client has begun. */
function newTrace() {
  const traceId = randomBytes(16).toString('hex')
  const spanId = randomBytes(8).toString('hex')
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` }
}

async function post(site: Site, path: string, body: object, traceparent?: string): Promise<void> {
  const headers = { 'content-type': 'application/json', ...(traceparent && { traceparent }) }
  const response = await fetch(`${site.http}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(response.status).toBeLessThan(300)
}

/** Sells so much of a new item that an alert goes out. @returns the trace of the sale */
async function sellOut(site: Site, sku: string) {
  const trace = newTrace()
  await post(site, '/inventory', { sku, name: 'Mug', priceCents: 100, quantity: 10, lowStockThreshold: 5 })
  await post(site, `/inventory/${sku}/sell`, { quantity: 6 }, trace.traceparent)
  return trace
}

/** Somebody who takes alerts. @returns the frames of the calls */
async function alertTaker(site: Site) {
  const worker = await RawWorker.connect(site.engine)
  const config = { topic: LOW_STOCK_TOPIC }
  worker.send({
    type: 'registertrigger',
    id: 't',
    trigger_type: 'subscribe',
    function_id: 'test::alert',
    config,
  })
  await worker.offer('test::alert', () => null)
  return () => worker.frames.filter(({ function_id }) => function_id === 'test::alert')
}

test('with telemetry off the trace of a request still reaches whoever takes its effect, and nothing is recorded', async () => {
  const collector = await startCollector()
  const site = await newSite({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  await startParts(site, { without: ['queries'] })
  const alerts = await alertTaker(site)
  const { traceparent } = await sellOut(site, 'mug-1')
  await eventually(() => alerts().length > 0)
  expect(alerts()[0]).toMatchObject({ traceparent, data: { sku: 'mug-1' } })
  // One without a trace gets none of somebody else.
  await post(site, '/inventory', {
    sku: 'mug-2',
    name: 'Mug',
    priceCents: 100,
    quantity: 1,
    lowStockThreshold: 5,
  })
  await eventually(() => alerts().length > 1)
  expect(alerts()[1]).toMatchObject({ data: { sku: 'mug-2' } })
  expect(alerts()[1]).not.toHaveProperty('traceparent')
  expect(collector.exports).toEqual([])
})

test('with telemetry on a collector sees one trace from the request over the projections to the effect', async () => {
  const collector = await startCollector()
  const site = await newSite({ CQRS_TELEMETRY: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  await startParts(site, { without: ['queries'] })
  const alerts = await alertTaker(site)
  const { traceId, spanId } = await sellOut(site, 'mug-1')
  const find = (name: string) => () =>
    collector.spans.find((span) => span.name === name && span.traceId === traceId)
  const span = (name: string): Promise<CollectedSpan> => until(`the span ${name}`, find(name), 15_000)

  const command = await span('execute cmd::sell-item')
  expect(command).toMatchObject({ parentSpanId: spanId, service: 'cqrs-commands' })
  for (const projection of ['inventory-list', 'inventory-stats', 'inventory-alert']) {
    const applied = await span(`apply ${projection}`)
    expect(applied).toMatchObject({ parentSpanId: command.spanId, service: 'cqrs-projections' })
    expect(applied.attributes).toMatchObject({
      'messaging.operation.type': 'process',
      'messaging.destination.name': projection,
      'cqrs.event.type': 'inventory-item-sold',
      'cqrs.event.position': 2,
    })
  }
  const effect = await span(`publish ${LOW_STOCK_TOPIC}`)
  expect(effect).toMatchObject({ parentSpanId: command.spanId, service: 'cqrs-projections' })
  expect(effect.attributes['messaging.message.id']).toBe('inventory-alert:2:1')
  await eventually(() => alerts().length > 0)
  expect(alerts()[0]?.traceparent).toBe(`00-${traceId}-${effect.spanId}-01`)
  // The hint that went through the queue is part of the trace, too.
  expect(await span('execute engine::queue::enqueue')).toMatchObject({ service: 'cqrs-queue' })
  expect((await span('execute proj::inventory-list')).service).toBe('cqrs-projections')
})

test('what fails is an error in the trace of its command, at each attempt', async () => {
  const collector = await startCollector()
  const site = await newSite({
    CQRS_TELEMETRY: 'true',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    CQRS_APP: POISONED_APP,
    CQRS_PROJECTIONS_MAX_ATTEMPTS: '2',
    CQRS_PROJECTIONS_RETRY_BASE_MS: '10',
  })
  await startParts(site, { without: ['queries', 'queue'] })
  const { traceId, traceparent } = newTrace()
  await post(site, '/inventory', { sku: 'x', name: 'Broken', priceCents: 100, quantity: 1 }, traceparent)
  const attempts = () =>
    collector.spans.filter(({ name, traceId: id }) => name === 'apply inventory-list' && id === traceId)
  await until('two attempts', () => attempts().length === 2, 15_000)
  expect(attempts().map(({ attributes }) => attributes['cqrs.event.parked'])).toEqual(['retrying', 'dead'])
  for (const { status } of attempts()) expect(status).toEqual({ code: 2, message: 'no shelf for Broken' })
})

test('a projection that catches up links what it applies instead of tearing old traces open', async () => {
  const collector = await startCollector()
  const site = await newSite({ CQRS_TELEMETRY: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  await startPart(site, 'engine')
  await startPart(site, 'commands')
  const traces = new Set<string>()
  const add = async (n: number) => {
    const { traceId, traceparent } = newTrace()
    traces.add(traceId)
    await post(site, '/inventory', { sku: `m${n}`, name: 'M', priceCents: 100, quantity: 9 }, traceparent)
  }
  await Promise.all(Array.from({ length: 110 }, (_, n) => add(n)))
  await startPart(site, 'projections')
  const isBatch = ({ name }: CollectedSpan) => name === 'apply inventory-stats'
  const batch = await until('the span of the batch', () => collector.spans.find(isBatch), 15_000)
  expect(collector.spans.filter(isBatch)).toHaveLength(1)
  expect(batch.attributes).toMatchObject({ 'messaging.batch.message_count': 110 })
  expect(batch.links.map(({ traceId }) => traceId).sort()).toEqual([...traces].sort())
  expect(traces).not.toContain(batch.traceId)
})
