import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { request } from '../support/inventory-client.ts'
import { runProgram } from '../support/program.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { newSite, startSystem } from '../support/system.ts'

const POISONED_APP = fileURLToPath(new URL('../support/poisoned-app.ts', import.meta.url))

test('an answer of a view that lacks parked events says so, whoever asks, until they are dealt with', async () => {
  const site = await newSite({ CQRS_APP: POISONED_APP, CQRS_PROJECTIONS_MAX_ATTEMPTS: '1' })
  await startSystem(site)
  const add = (sku: string, name: string) =>
    request(`${site.http}/inventory`, {
      command: { body: { sku, name, priceCents: 100, quantity: 9 }, idempotencyKey: sku },
    })
  const get = async (path: string) => {
    const { status, headers } = await request(`${site.http}${path}?after=2`)
    const told = ['position', 'parked'].map((what) => headers.get(`x-projection-${what}`))
    return { status, position: told[0], parked: told[1] }
  }
  await add('mug-1', 'Mug')
  await add('jug-1', 'Broken jug')

  expect(await get('/inventory/mug-1')).toEqual({ status: 200, position: '2', parked: '1' })
  // Its own event is what the list lacks: that there is no such item is the very answer to doubt.
  expect(await get('/inventory/jug-1')).toEqual({ status: 404, position: '2', parked: '1' })
  expect(await get('/inventory/stats')).toEqual({ status: 200, position: '2', parked: null })

  const worker = await sdkWorker(site.engine)
  const ask = (name: string, sku: string) =>
    worker.trigger({ function_id: `query::${name}`, payload: { sku } })
  expect(await ask('get-item', 'mug-1')).toMatchObject({ kind: 'answered', position: 2, parked: 1 })
  expect(await ask('get-item', 'jug-1')).toMatchObject({ kind: 'rejected', position: 2, parked: 1 })
  expect(await ask('event-history', 'jug-1')).toMatchObject({ kind: 'answered', position: 2, parked: 0 })

  const early = worker.trigger({ function_id: 'query::get-item', payload: { sku: 'mug-1', after: 'soon' } })
  await expect(early).rejects.toThrow(/CQRS_VALIDATION: /)

  const discard = ['dlq', 'discard', '--error', 'no shelf', '--reason', 'a test']
  expect(await runProgram(discard, site.data, { ...site.env, III_URL: site.engine })).toMatchObject({
    exitCode: 0,
  })
  expect(await get('/inventory/mug-1')).toEqual({ status: 200, position: '2', parked: null })
})
