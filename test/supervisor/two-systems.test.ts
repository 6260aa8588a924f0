import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { killPart, newSite, onEachEngine, type Site, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

// Each starts one or two whole systems, and runs commands of the program.
vi.setConfig({ testTimeout: 240_000 })

const APP = fileURLToPath(new URL('../support/purchasing-app.ts', import.meta.url))

async function run(env: Site['env'], ...args: string[]) {
  const program = new CqrsProcess(args, env)
  return { code: (await program.exited).code, output: program.output }
}

/** Sends a command over HTTP until it is answered with success, as a client does while its worker is restarted. */
async function post(url: string, body: object, key: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'Idempotency-Key': key }
  const send = () => fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  await until(`${key} is accepted`, async () => (await send()).ok, 60_000)
}

onEachEngine((newSiteOn) => {
  test('a second system on the engine of another one is refused, and takes nothing from it', async () => {
    const first = await newSiteOn()
    await startSystem(first)
    const second = await newSite({ CQRS_APP: APP })
    const refused = await run({ ...second.env, III_URL: first.engine }, 'up')
    expect(refused.code).toBe(2)
    expect(refused.output).toMatch(/CQRS_ENGINE_TAKEN.*offers the same on this engine/)
    expect((await fetch(`${first.http}/health/ready`)).status).toBe(200)
    const workers = await run({ ...first.env, III_URL: first.engine }, 'workers')
    expect(workers.code).toBe(0)
    expect(workers.output).not.toContain('did not answer')
  })

  test('a guest has its own operators, and its effects reach commands of the host that are killed again and again', async () => {
    const host = await newSiteOn()
    const up = await startSystem(host)
    const { env, data } = await newSite({
      CQRS_APP: APP,
      CQRS_GUEST: 'purchasing',
      CQRS_PROJECTIONS_ABSENT_COMMAND_MS: '30000',
    })
    const guest = { ...env, III_URL: host.engine }
    const guestUp = new CqrsProcess(['up'], guest)
    await guestUp.ready
    await post(`${host.http}/inventory`, { sku: 'mug', name: 'Mug', priceCents: 100, quantity: 1 }, 'add')
    for (let bought = 1; bought <= 5; bought += 1) {
      if (bought % 2 === 1) await killPart(up, 'commands')
      else await killPart(guestUp, 'projections')
      await post(`${host.http}/purchases`, { sku: 'mug', quantity: bought }, `buy-${bought}`)
    }
    const stock = async () => {
      const answer = await fetch(`${host.http}/inventory/mug`)
      return answer.ok ? ((await answer.json()) as { stock: number }).stock : undefined
    }
    await until('all that was bought is there', async () => (await stock()) === 16, 60_000)

    for (const [prefix, site] of [
      ['/purchasing', guest],
      ['', { ...host.env, III_URL: host.engine }],
    ] as const) {
      await until('it is ready', async () => (await fetch(`${host.http}${prefix}/health/ready`)).ok, 60_000)
      const status = await run(site, 'status')
      expect(status.output).toContain(prefix ? 'deliveries' : 'inventory-list')
      expect(status.output).not.toContain(prefix ? 'inventory-list' : 'deliveries')
      expect((await run(site, 'workers')).output).not.toContain('did not answer')
      expect((await run(site, 'audit')).code).toBe(0)
      expect((await run(site, 'dlq', 'list')).output).toContain('There are none.')
    }
    const wrong = await run({ ...host.env, CQRS_DATA: data, III_URL: host.engine }, 'status')
    expect(wrong.output).toMatch(/CQRS_UNAUTHORIZED.*CQRS_GUEST/)
  })
})

test('an effect whose command no app on the engine has is a dead letter after the configured time', async () => {
  const site = await newSite({ CQRS_APP: APP, CQRS_PROJECTIONS_ABSENT_COMMAND_MS: '1' })
  await startSystem(site)
  await post(`${site.http}/purchases`, { sku: 'typo', quantity: 1 }, 'buy')
  const env = { ...site.env, III_URL: site.engine }
  await until('it is dead', async () =>
    (await run(env, 'dlq', 'list')).output.includes('effect:deliveries:1.1'),
  )
  const letter = await run(env, 'dlq', 'show', 'effect:deliveries:1.1')
  expect(letter.output).toContain('This app has no command restok-item; it has: buy-goods.')
})

test('a guest needs the engine of a host', async () => {
  const { env } = await newSite({ CQRS_GUEST: 'purchasing' })
  const { code, output } = await run(env, 'up')
  expect(code).toBe(2)
  expect(output).toMatch(/CQRS_CONFIG_INVALID.*CQRS_GUEST is purchasing.*Set III_URL/)
})
