import { expect, test } from 'vitest'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { request } from '../support/inventory-client.ts'
import { startLoad } from '../support/load.ts'
import { testSeed } from '../support/random.ts'
import { newSite, startSystem } from '../support/system.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()
const TEST_MS = 90_000

test('a second system on the same data folder or on taken ports says so and leaves the first alone', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const up = await startSystem(site)

  const sameFolder = new CqrsProcess(['up'], { ...site.env, ...(await newSite()).env, CQRS_DATA: site.data })
  expect(await sameFolder.exited).toEqual({ code: 4, signal: null })
  expect(sameFolder.output).toContain('CQRS_STORE_LOCKED')
  expect(sameFolder.output).toContain(`process ${up.pid}`)
  expect(sameFolder.output).toContain('CQRS_DATA=')

  for (const variable of ['III_PORT', 'III_HTTP_PORT']) {
    const samePort = new CqrsProcess(['up'], {
      ...(await newSite()).env,
      [variable]: String(site.env[variable]),
    })
    expect(await samePort.exited).toEqual({ code: 5, signal: null })
    expect(samePort.output).toContain('CQRS_PORT_TAKEN')
    expect(samePort.output).toContain(`${variable}=`)
  }
  expect((await request(`${site.http}/inventory/stats`)).status).toBe(200)
})

test('told to stop under load it stops in time, and after a new start nothing is missing', {
  timeout: TEST_MS,
}, async () => {
  const site = await newSite()
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed })
  await until('there is a load', () => load.settled.length >= 100)

  const told = performance.now()
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(performance.now() - told).toBeLessThan(15_000)
  expect(up.output).not.toContain('did not stop in time')

  await startSystem(site)
  const before = load.settled.length
  await until('commands are answered again', () => load.settled.length > before + 50, 30_000)
  await load.finish()
  await expectTruth(site, load.settled)
})

test('killed itself under load it can be started again at once', { timeout: TEST_MS }, async () => {
  const site = await newSite()
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed })
  await until('there is a load', () => load.settled.length >= 100)

  await up.end('SIGKILL')
  await startSystem(site)
  const before = load.settled.length
  await until('commands are answered again', () => load.settled.length > before + 50, 30_000)
  await load.finish()
  await expectTruth(site, load.settled)
})
