import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { LetterGroup } from '../../src/operator/contract.ts'
import { type InventoryCommand, request } from '../support/inventory-client.ts'
import { runProgram } from '../support/program.ts'
import { newSite, type Site, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const POISONED_APP = fileURLToPath(new URL('../support/poisoned-app.ts', import.meta.url))

/** A system whose list could not take three items, one of which was also sold; each of them is dead. */
async function poisoned() {
  const site = await newSite({ CQRS_PROJECTIONS_MAX_ATTEMPTS: '2', CQRS_PROJECTIONS_RETRY_BASE_MS: '10' })
  const up = await startSystem({ ...site, env: { ...site.env, CQRS_APP: POISONED_APP } })
  for (const [sku, name] of [
    ['mug', 'Mug'],
    ['b1', 'Broken 1'],
    ['b2', 'Broken 2'],
    ['b3', 'Broken 3'],
  ] as const) {
    await send(site, '/inventory', { sku, name, category: 'c', priceCents: 100, quantity: 5 })
  }
  await send(site, '/inventory/b1/sell', { quantity: 2 })
  const cqrs = (...args: string[]) =>
    runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine, CQRS_DATA: site.data })
  const groups = async () => {
    const { stdout } = await cqrs('dlq', 'groups', '--json')
    return (JSON.parse(stdout) as { groups: LetterGroup[] }).groups
  }
  const group = await until('all of them are dead', async () => {
    const [only, ...others] = await groups()
    return only?.dead === 3 && others.length === 0 && only
  })
  return { site, up, cqrs, groups, group }
}

async function send(site: Site, path: string, body: Record<string, unknown>): Promise<void> {
  const command: InventoryCommand = { path, body, idempotencyKey: crypto.randomUUID() }
  const { status } = await request(`${site.http}${path}`, { command })
  expect(status).toBeLessThan(300)
}

const listedItems = z.object({ items: z.array(z.object({ sku: z.string(), stock: z.number() })) })

async function listed({ http }: Site): Promise<{ items: { sku: string; stock: number }[] }> {
  return listedItems.parse((await request(`${http}/inventory`)).body)
}

test('the runbook of a poisoned event: the handler is mended, and what it failed at is applied in its order', async () => {
  const { site, up, cqrs, groups, group } = await poisoned()
  expect(group).toMatchObject({ source: 'parked', names: ['inventory-list'], count: 3, waiting: 1 })
  const list = await cqrs('dlq', 'list', '--source', 'parked', '--error', 'no shelf')
  expect(list).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('parked:inventory-list:2') })
  const show = await cqrs('dlq', 'show', 'parked:inventory-list:2')
  expect(show.stdout).toContain('Broken 1')
  expect(show.stdout).toContain('poisoned-app.ts')

  up.signal('SIGTERM')
  await up.exited
  await startSystem(site)
  const redrive = ['dlq', 'redrive', '--group', group.fingerprint]
  expect(await cqrs(...redrive, '--dry-run')).toMatchObject({ exitCode: 0 })
  expect(await groups()).toHaveLength(1)
  expect(await cqrs(...redrive)).toMatchObject({ exitCode: 0 })
  await until('nothing is left', async () => (await groups()).length === 0)
  const { items } = await listed(site)
  expect(items.map(({ sku, stock }) => [sku, stock]).toSorted()).toEqual([
    ['b1', 3],
    ['b2', 5],
    ['b3', 5],
    ['mug', 5],
  ])
  expect(await cqrs('audit', 'inventory-list')).toMatchObject({ exitCode: 0 })
}, 120_000)

test('the runbook of a poisoned event: the events are given up, and nothing else is missing', async () => {
  const { site, cqrs, groups } = await poisoned()
  const discard = ['dlq', 'discard', '--error', 'no shelf', '--reason', 'items of a test']
  expect(await cqrs(...discard, '--dry-run')).toMatchObject({ exitCode: 0 })
  expect(await groups()).toMatchObject([{ count: 3 }])
  expect(await cqrs(...discard)).toMatchObject({ exitCode: 0 })
  await until('they are given up', async () => (await groups()).length === 0)
  await send(site, '/inventory/mug/sell', { quantity: 1 })
  const mug = async () => (await listed(site)).items.find(({ sku }) => sku === 'mug')
  await until('the others go on', async () => (await mug())?.stock === 4)
  expect(await cqrs('audit', 'inventory-list')).toMatchObject({ exitCode: 0 })
  const actions = await cqrs('actions', '--operation', 'ops::dlq-discard', '--json')
  expect(actions.stdout).toContain('items of a test')
}, 120_000)
