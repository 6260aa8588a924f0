import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Readiness } from '../../src/operator/health.ts'
import { type InventoryCommand, request } from '../support/inventory-client.ts'
import { newSite, type Site, startPart, startParts } from '../support/system.ts'
import { until } from '../support/until.ts'

const TEST_MS = 120_000
const PAGE = 4_096

function add(site: Site, sku: string) {
  const body = { sku, name: `the name of ${sku}.`, category: 'c', priceCents: 100, quantity: 5 }
  const command: InventoryCommand = { path: '/inventory', body, idempotencyKey: sku }
  return request(`${site.http}/inventory`, { command })
}

async function readiness(site: Site): Promise<Readiness & { http: number }> {
  const answer = await fetch(`${site.http}/health/ready`)
  return { http: answer.status, ...((await answer.json()) as Readiness) }
}

test('a log that opens and refuses each command is not ready, with what it says', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const before = await startParts(site)
  for (let n = 0; n < 100; n += 1) expect((await add(site, `item-${n}`)).status).toBeLessThan(300)
  for (const part of Object.values(before).reverse()) await part.end('SIGTERM')
  damagePage(join(site.data, 'events.db'), 'the name of item-85.')

  await startParts(site)
  await startPart(site, 'operator')
  // Nobody has met it yet.
  expect((await readiness(site)).parts).toContainEqual({ part: 'commands', state: 'ok' })
  const refused = await add(site, 'one-more')
  expect(refused).toMatchObject({ status: 500, body: { error: { code: 'CQRS_STORE_CORRUPT' } } })
  const { message } = (refused.body as { error: { message: string } }).error
  expect(await readiness(site)).toMatchObject({
    http: 503,
    status: 'not ready',
    parts: expect.arrayContaining([
      { part: 'commands', state: 'down', reason: `the last request failed: ${message}` },
    ]),
  })
})

test('a worker of commands that stands still is not ready before anybody ends it', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite({ CQRS_OPS_READY_ANSWER_MS: '700' })
  const { commands, projections } = await startParts(site)
  await startPart(site, 'operator')
  // On a busy machine, one of those that are well may not answer in time now and then.
  const readinessOf = () => expect.poll(() => readiness(site))
  await readinessOf().toMatchObject({ http: 200, status: 'ready' })
  const reason = expect.stringContaining('did not answer within 700 ms')
  projections.signal('SIGSTOP')
  await readinessOf().toMatchObject({
    http: 200,
    status: 'degraded',
    parts: expect.arrayContaining([{ part: 'projection inventory-list', state: 'degraded', reason }]),
  })
  projections.signal('SIGCONT')
  commands.signal('SIGSTOP')
  expect(await readiness(site)).toMatchObject({
    http: 503,
    status: 'not ready',
    parts: expect.arrayContaining([{ part: 'commands', state: 'down', reason }]),
  })
  await until('load balancers do not give up', async () => {
    const askedAt = performance.now()
    const { status } = await readiness(site)
    return status === 'not ready' && performance.now() - askedAt < 1_000
  })
  commands.signal('SIGCONT')
  await until('it is ready again', async () => (await readiness(site)).status === 'ready')
})

/** Spoils the page of a closed store that holds a text. */
function damagePage(path: string, text: string): void {
  const bytes = readFileSync(path)
  const page = Math.floor(bytes.lastIndexOf(text) / PAGE)
  expect(page).toBeGreaterThan(0)
  bytes.fill(0x5a, page * PAGE, page * PAGE + 100)
  writeFileSync(path, bytes)
}
