import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { opsToken } from '../support/ops-token.ts'
import { RawWorker } from '../support/raw-worker.ts'
import { newSite, startPart } from '../support/system.ts'
import { until } from '../support/until.ts'

test('the app of the README is deployed as docs/evolve.md changes it, over its data, and back', async () => {
  const site = await newSite()
  await startPart(site, 'engine')
  const start = async (file: string) => {
    const env = { ...site.env, III_URL: site.engine, CQRS_APP: join(import.meta.dirname, file) }
    const worker = new CqrsProcess(['worker', 'commands', 'projections', 'operator'], env)
    await worker.ready
    return worker
  }
  const post = async (path: string, body: object, key: string) => {
    const response = await fetch(`${site.http}/banks/ada/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: await response.json() }
  }

  const before = await start('readme-app.ts')
  expect(await post('save', { cents: 500 }, 'k1')).toMatchObject({ status: 200, body: { position: 1 } })
  await before.end('SIGTERM')

  const after = await start('evolved-app.ts')
  // The key belongs to the command of the earlier name: the money is not saved twice.
  expect(await post('save', { cents: 500 }, 'k1')).toMatchObject({
    status: 422,
    body: { error: { code: 'CQRS_KEY_REUSED' } },
  })
  expect(await post('save', { cents: 20 }, 'k2')).toMatchObject({ status: 200, body: { position: 2 } })
  expect(await post('spend', { cents: 521 }, 'k3')).toMatchObject({
    status: 409,
    body: { error: { details: { balance: 520 } } },
  })
  const operator = await RawWorker.connect(site.engine)
  const metadata = opsToken(site.data)
  const view = async () =>
    (await operator.call('ops::view', { projection: 'balances' }, { metadata })).result as {
      generation: number
      items: unknown[]
    }
  await until('the rebuilt view serves', async () => (await view()).generation === 2)
  await until('it has both types', async () => JSON.stringify((await view()).items).includes('520'))
  await after.end('SIGTERM')

  await expect(start('readme-app.ts')).rejects.toThrow('cqrs rollback balances --force')
})
