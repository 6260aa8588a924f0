import { existsSync, truncateSync } from 'node:fs'
import { expect, test } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import { type InventoryCommand, request } from '../support/inventory-client.ts'
import { fill, mountSmall, needsMounts } from '../support/mounts.ts'
import { runProgram } from '../support/program.ts'
import { newSite, startSystem } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024

test('the runbook of a full disk leads out of it, without a restart', async (context) => {
  needsMounts(context)
  const site = await newSite({ CQRS_OPS_MIN_FREE_BYTES: String(8 * MIB) })
  mountSmall(site.data, '64m')
  const up = await startSystem(site)
  const cqrs = (...args: string[]) =>
    runProgram(args, tempFolder(), { ...site.env, III_URL: site.engine, CQRS_DATA: site.data })
  const add = async (sku: string) => {
    const body = { sku, name: sku, category: 'c', priceCents: 100, quantity: 5 }
    const command: InventoryCommand = { path: '/inventory', body, idempotencyKey: sku }
    return request(`${site.http}/inventory`, { command })
  }
  expect((await add('before')).status).toBeLessThan(300)
  expect(await cqrs('rebuild', 'inventory-list')).toMatchObject({ exitCode: 0 })
  expect((await fetch(`${site.http}/health/ready`)).status).toBe(200)

  const ballast = fill(site.data)
  const refused = await until('a command is refused', async () => {
    const answer = await add(`full-${crypto.randomUUID()}`)
    return answer.status === 503 && answer
  })
  expect(refused.body).toMatchObject({ error: { code: 'CQRS_STORE_FULL' } })
  const ready = await fetch(`${site.http}/health/ready`)
  expect(ready.status).toBe(503)
  expect(await ready.text()).toContain(
    '0 MiB are free, less than the minimum of 8; free some space, no restart is needed',
  )
  expect((await request(`${site.http}/inventory/before`)).status).toBe(200)

  const doctor = await cqrs('doctor')
  expect(doctor.exitCode).toBe(1)
  expect(doctor.stdout).toMatch(/FAIL +disk/)
  expect(doctor.stdout).toMatch(/views\/inventory-list\.1\.db .*[KM]iB/)
  // What an operator does is recorded first, and there is no room for it.
  expect(await cqrs('prune')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('CQRS_STORE_FULL'),
  })
  truncateSync(ballast, 48 * MIB)
  const prune = { exitCode: 0, stdout: 'Removing inventory-list generation 1.\n', stderr: '' }
  expect(await cqrs('prune')).toEqual(prune)
  await until('the files are gone', () => !existsSync(viewPath(site.data, 'inventory-list')))
  expect((await add('after')).status).toBeLessThan(300)
  expect(up.output).not.toMatch(/started again|exited/)
}, 120_000)
