import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { inspect } from '../../src/chaos/inspect.ts'
import inventory from '../../src/inventory/app.ts'
import { type InventoryCommand, request } from '../support/inventory-client.ts'
import { opsToken } from '../support/ops-token.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { newSite, type Site, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/*
 * A data folder is put together of copies of its stores that were taken at different moments. Whatever it is put together of:
 * it is refused because its log is too short, or it works, every view is what the log says, also after it was built anew,
 * and nothing is oversold.
 */

const ROUNDS = Number(process.env.CQRS_TEST_RUNS) || 5
const COPIES = 5
const ITEMS = 6
const VIEWS = ['inventory-list', 'inventory-stats', 'inventory-alert']
const STORES = ['control.db', 'queue.db', 'state.db', 'operator.db', 'snapshots.db', 'events.db']
const seed = testSeed()

type Random = () => number

function ops(site: Site, path: string, method = 'POST'): Promise<Response> {
  const authorization = `Bearer ${opsToken(site.data).token}`
  return fetch(`${site.http}/ops/projections/${path}`, { method, headers: { authorization } })
}

/** Until nothing is built of a view, and none is to return. */
async function settled(site: Site, view: string): Promise<void> {
  await until(`${view} is settled`, async () => {
    const found = await (await ops(site, view, 'GET')).text()
    return found.includes('"state":"active"') && !/"state":"(building|ready|returning)"/.test(found)
  })
}

async function send(site: Site, command: Omit<InventoryCommand, 'idempotencyKey'>): Promise<number> {
  const idempotencyKey = crypto.randomUUID()
  return (await request(site.http + command.path, { command: { ...command, idempotencyKey } })).status
}

/** Sells more than is there, and restocks less. */
async function trade(site: Site, random: Random, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const path = `/inventory/i${between(random, 0, ITEMS - 1)}/${random() < 0.6 ? 'sell' : 'restock'}`
    expect([200, 201, 409]).toContain(await send(site, { path, body: { quantity: between(random, 1, 8) } }))
  }
}

function copy(from: string, to: string): void {
  mkdirSync(join(to, 'views'), { recursive: true })
  const views = readdirSync(join(from, 'views')).filter((file) => file.endsWith('.db'))
  for (const store of [...views.map((file) => join('views', file)), ...STORES]) {
    if (!existsSync(join(from, store))) continue
    const db = new DatabaseSync(join(from, store), { readOnly: true, timeout: 10_000 })
    db.exec(`VACUUM INTO '${join(to, store)}'`)
    db.close()
  }
}

/** The life of a system in which generations come and go, and copies of its data folder from that. */
async function copies(random: Random): Promise<string[]> {
  const site = await newSite()
  const up = await startSystem(site)
  const item = { category: 'c', priceCents: 100, quantity: 20, lowStockThreshold: 10 }
  for (let n = 0; n < ITEMS; n += 1) {
    await send(site, { path: '/inventory', body: { ...item, sku: `i${n}`, name: `i${n}` } })
  }
  const taken: string[] = []
  while (taken.length < COPIES) {
    const [view, paused] = [oneOf(random, VIEWS), oneOf(random, VIEWS)]
    await ops(site, `${paused}/pause`)
    await trade(site, random, between(random, 5, 30))
    await ops(site, `${view}/${oneOf(random, ['rebuild', 'rebuild', 'rollback'])}`)
    if (random() < 0.5) await ops(site, `${paused}/resume`)
    if (random() < 0.5 && view !== paused) await settled(site, view)
    const to = join(tempFolder(), 'copy')
    copy(site.data, to)
    taken.push(to)
    await ops(site, `${paused}/resume`)
  }
  await up.end('SIGTERM')
  return taken
}

/** Puts a data folder together of two copies. @returns of what */
function putTogether(random: Random, taken: readonly string[], data: string): string {
  mkdirSync(join(data, 'views'), { recursive: true })
  const two = [oneOf(random, taken), oneOf(random, taken)] as const
  const missing =
    random() < 0.4 ? oneOf(random, ['control.db', 'queue.db', 'operator.db', 'views']) : undefined
  const views = new Set(two.flatMap((from) => readdirSync(join(from, 'views'))))
  const allOf = random() < 0.6 ? oneOf(random, two) : undefined
  const used: string[] = [`without ${missing}`]
  const put = (store: string, from: string) => {
    if (!existsSync(join(from, store))) return
    copyFileSync(join(from, store), join(data, store))
    used.push(`${store} of ${taken.indexOf(from)}`)
  }
  const [older, newer] = two.toSorted((one, other) => taken.indexOf(one) - taken.indexOf(other)) as [
    string,
    string,
  ]
  if (random() < 0.4) {
    // One backup, over what was there: generations that it does not know stay.
    for (const from of [newer, older]) {
      for (const store of STORES) if (store !== missing) put(store, from)
      for (const file of views) put(join('views', file), from)
    }
    return used.join(', ')
  }
  // More often the newer one: a log that is older than the views is refused.
  for (const store of STORES) {
    const from = store === 'events.db' && random() < 0.7 ? newer : oneOf(random, two)
    if (store !== missing) put(store, from)
  }
  for (const file of missing === 'views' ? [] : views) put(join('views', file), allOf ?? oneOf(random, two))
  return used.join(', ')
}

test(`whatever moments the stores of a data folder are of, its views are what its log says (CQRS_TEST_SEED=${seed})`, async () => {
  const random = seededRandom(seed)
  const taken = await copies(random)
  for (let round = 0; round < ROUNDS; round += 1) {
    const site = await newSite()
    const of = `round ${round}: ${putTogether(random, taken, site.data)}`
    const up = await startSystem(site).catch((error: Error) => error)
    if (up instanceof Error) {
      expect(up.message, of).toContain('CQRS_LOG_TOO_SHORT')
      continue
    }
    for (const view of VIEWS) await ops(site, `${view}/resume`)
    await trade(site, random, 10)
    const look = () => inspect({ data: site.data, app: inventory, settled: [], alone: false })
    expect((await look()).findings, of).toEqual([])
    for (const view of VIEWS) {
      expect((await ops(site, `${view}/rebuild`)).status).toBe(200)
      await settled(site, view)
    }
    expect((await look()).findings, `${of}; built anew`).toEqual([])
    await up.end('SIGTERM')
  }
}, 600_000)
