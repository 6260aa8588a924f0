import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import { CqrsProcess } from '../support/cqrs-process.ts'
import { type InventoryCommand, request, settle } from '../support/inventory-client.ts'
import { type SettledCommand, settledMore, startLoad } from '../support/load.ts'
import { fill, mountSmall, needsMounts } from '../support/mounts.ts'
import { testSeed } from '../support/random.ts'
import { newSite, startParts, startSystem } from '../support/system.ts'
import { failCalls, needsStrace } from '../support/traced.ts'
import { expectTruth } from '../support/truth.ts'
import { until } from '../support/until.ts'

const seed = testSeed()

/** Commands that are sent once, to see how they are refused, and settled with the same key later. */
function probes(http: string) {
  const settled: SettledCommand[] = []
  const open: InventoryCommand[] = []
  let sent = 0
  return {
    settled,
    /** Sends commands until one is refused with 503. */
    refusal: () =>
      until('a command is refused with 503', async () => {
        sent += 1
        const sku = `probe-${sent}`
        const body = { sku, name: sku, category: 'probe', priceCents: 100, quantity: 5 }
        const command = { path: '/inventory', body, idempotencyKey: sku }
        open.push(command)
        const answer = await request(http + command.path, { command })
        return answer.status === 503 && answer
      }),
    /** Sends them again, whatever became of them. */
    async settle() {
      for (const command of open.splice(0)) settled.push({ command, answer: await settle(http, command) })
    },
  }
}

test(`a disk that reports errors costs nothing that was acknowledged, and no restart (CQRS_TEST_SEED=${seed})`, async (context) => {
  needsStrace(context)
  const site = await newSite()
  const parts = await startParts(site)
  const ended: string[] = []
  for (const part of Object.values(parts)) void part.exited.then(() => ended.push(part.name))
  const load = await startLoad({ http: site.http, seed, clients: 4 })
  const probe = probes(site.http)
  const { events, queue } = dataPaths(site.data)
  const fail = (part: CqrsProcess, calls: string, file: string) =>
    failCalls(part.pid, { calls, paths: [file, `${file}-wal`], error: 'EIO' })

  for (const calls of ['fsync,fdatasync', 'pwrite64']) {
    const restore = await fail(parts.commands, calls, events)
    const { body } = await probe.refusal()
    expect(body).toMatchObject({
      error: {
        code: 'CQRS_STORE_UNAVAILABLE',
        message: expect.stringContaining('try again with the same idempotency key'),
      },
    })
    await restore()
    await probe.settle()
    await settledMore(load, 25)
  }

  // Commands need neither the queue nor the views.
  const heard = { [queue]: parts.commands, [viewPath(site.data, 'inventory-list')]: parts.projections }
  for (const [file, teller] of Object.entries(heard)) {
    const before = teller.output.length
    const restore = await fail(file === queue ? parts.queue : parts.projections, 'pwrite64', file)
    await settledMore(load, 25)
    await until(`${teller.name} tells of ${file}`, () =>
      teller.output.slice(before).includes('the disk reported an error'),
    )
    await restore()
  }
  await settledMore(load, 25)
  await load.finish()
  await expectTruth(site, [...load.settled, ...probe.settled])
  expect(ended).toEqual([])
}, 120_000)

test(`a full disk costs nothing that was acknowledged, and no restart (CQRS_TEST_SEED=${seed})`, async (context) => {
  needsMounts(context)
  const site = await newSite()
  mountSmall(site.data, '48m')
  const up = await startSystem(site)
  const load = await startLoad({ http: site.http, seed, clients: 4 })
  const probe = probes(site.http)
  for (let round = 0; round < 3; round += 1) {
    await settledMore(load, 25)
    const ballast = fill(site.data)
    const { body } = await probe.refusal()
    expect(body).toMatchObject({
      error: { code: 'CQRS_STORE_FULL', message: expect.stringContaining('free space') },
    })
    expect((await request(`${site.http}/inventory/stats`)).status).toBe(200)
    rmSync(ballast)
    await probe.settle()
    await settledMore(load, 25)
  }
  await load.finish()
  await expectTruth(site, [...load.settled, ...probe.settled])
  expect(up.output).not.toMatch(/started again|exited/)
  expect(await up.end('SIGTERM')).toEqual({ code: 0, signal: null })
}, 120_000)

test('a data folder that cannot be written is refused by name, and served when it can be', async (context) => {
  needsMounts(context)
  const site = await newSite()
  const disk = mountSmall(site.data, '48m')
  const first = await startSystem(site)
  const probe = probes(site.http)
  const load = await startLoad({ http: site.http, seed, clients: 2 })
  await settledMore(load, 10)
  await load.finish()
  await first.end('SIGTERM')

  disk.remount('ro')
  const refused = new CqrsProcess(['up'], site.env)
  refused.ready.catch(() => {})
  const { code } = await refused.exited
  expect(code).not.toBe(0)
  expect(refused.output).toContain('CQRS_STORE_UNAVAILABLE')
  expect(refused.output).toMatch(/permissions of the data folder|exists and may be written/)

  disk.remount('rw')
  await startSystem(site)
  await expectTruth(site, [...load.settled, ...probe.settled])
}, 120_000)
