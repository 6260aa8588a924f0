import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { opsToken } from '../../support/ops-token.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { TAKE_RECEIPT } from '../../support/receipts-app.ts'
import { newSite, startPart, startParts } from '../../support/system.ts'
import { until } from '../../support/until.ts'

const APP = fileURLToPath(new URL('../../support/receipts-app.ts', import.meta.url))

test('an effect over which every taker ends is dead after so many, and no other one is', async () => {
  const site = await newSite({
    CQRS_APP: APP,
    CQRS_PROJECTIONS_MAX_STOPS: '3',
    CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50',
  })
  await startParts(site, { without: ['queries'] })
  const post = async (path: string, body: object) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }
    expect((await fetch(`${site.http}${path}`, init)).status).toBeLessThan(300)
  }
  for (const sku of ['bomb', 'mug'])
    await post('/inventory', { sku, name: sku, priceCents: 100, quantity: 9 })
  for (const sku of ['bomb', 'mug']) await post(`/inventory/${sku}/sell`, { quantity: 1 })

  const met: string[] = []
  /** A taker that ends when it is given the bomb, and is started again, as a supervisor would. */
  const startTaker = async (): Promise<void> => {
    const taker = await RawWorker.connect(site.engine)
    const take = (data: unknown) => {
      const { sku } = data as { sku: string }
      met.push(sku)
      if (sku !== 'bomb') return null
      taker.terminate()
      void startTaker()
      return new Promise(() => undefined)
    }
    // It may be given the bomb, and end, before the engine has said that it knows the function.
    taker.offer(TAKE_RECEIPT, take).catch(() => undefined)
  }
  await startTaker()
  const operator = await RawWorker.connect(site.engine)
  const dead = async () => {
    const metadata = opsToken(site.data)
    return (await operator.call('ops::effects::dead::sale-receipts', { limit: 10 }, { metadata })).result
  }
  await until('the bomb is dead', async () => ((await dead()) as unknown[]).length > 0)
  await until('the mug is taken', () => met.includes('mug'))
  expect(met.filter((sku) => sku === 'bomb')).toHaveLength(3)
  expect(await dead()).toMatchObject([
    {
      idempotencyKey: 'sale-receipts:3:1',
      attempts: 3,
      error: expect.stringContaining('ended 3 times before it answered'),
    },
  ])
})

test('an effect that is under way when the engine dies is sent again when it is back, and has not failed', async () => {
  const site = await newSite({
    CQRS_APP: APP,
    CQRS_PROJECTIONS_MAX_ATTEMPTS: '1',
    CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50',
  })
  const { engine } = await startParts(site, { without: ['queries', 'queue'] })
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${site.http}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    expect(response.status).toBeLessThan(300)
  }
  await post('/inventory', { sku: 'mug', name: 'mug', priceCents: 100, quantity: 9 })
  const met: unknown[] = []
  const taken = Promise.withResolvers<void>()
  const silent = await RawWorker.connect(site.engine)
  await silent.offer(TAKE_RECEIPT, () => {
    taken.resolve()
    return new Promise(() => undefined)
  })
  await post('/inventory/mug/sell', { quantity: 1 })
  await taken.promise
  await engine.end('SIGKILL')
  await startPart(site, 'engine')
  const taker = await RawWorker.connect(site.engine)
  await taker.offer(TAKE_RECEIPT, (data) => {
    met.push(data)
    return null
  })
  await until('it is taken', () => met.length > 0)
  expect(met).toMatchObject([{ sku: 'mug', idempotencyKey: 'sale-receipts:2:1' }])
})

test('a receiver has as long to answer as the configuration says', async () => {
  const site = await newSite({
    CQRS_APP: APP,
    CQRS_PROJECTIONS_MAX_ATTEMPTS: '1',
    CQRS_PROJECTIONS_EFFECT_TIMEOUT_MS: '250',
    CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50',
  })
  await startParts(site, { without: ['queries', 'queue'] })
  const taker = await RawWorker.connect(site.engine)
  await taker.offer(TAKE_RECEIPT, () => new Promise(() => undefined))
  for (const [path, body] of [
    ['/inventory', { sku: 'mug', name: 'mug', priceCents: 100, quantity: 9 }],
    ['/inventory/mug/sell', { quantity: 1 }],
  ] as const) {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    expect((await fetch(`${site.http}${path}`, init)).status).toBeLessThan(300)
  }
  const dead = async () =>
    (await taker.call('ops::effects::dead::sale-receipts', { limit: 10 }, { metadata: opsToken(site.data) }))
      .result as unknown[]
  await until('it is dead', async () => (await dead()).length > 0)
  expect(await dead()).toMatchObject([{ attempts: 1, error: expect.stringContaining('after 250ms') }])
})
