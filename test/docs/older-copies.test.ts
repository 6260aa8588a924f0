import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { itemSite } from '../support/item-site.ts'
import { runProgram } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

/** A data folder of which there is a copy from when it had two items, and which has four by now; nothing runs. */
async function withCopy() {
  const { site, add, listed, cqrs, whileUp } = await itemSite()
  const copy = join(tempFolder(), 'copy')
  await whileUp(async () => {
    await add('one')
    await listed(await add('two'))
  })
  cpSync(site.data, copy, { recursive: true })
  await whileUp(async () => {
    await add('three')
    await listed(await add('four'))
  })
  return { site, copy, add, listed, cqrs, whileUp }
}

/** Removes a store with what lies beside it, and puts a copy in its place. */
function putBack(copy: string, data: string, store: string): void {
  for (const suffix of ['', '-wal', '-shm', '-mark']) rmSync(join(data, `${store}${suffix}`), { force: true })
  copyFileSync(join(copy, store), join(data, store))
}

const started = (data: string) =>
  runProgram(['up'], tempFolder(), { CQRS_DATA: data, III_PORT: '0', III_HTTP_PORT: '0' })

test('the runbook of a queue that is older than the log', async () => {
  const { site, copy, add, listed, cqrs, whileUp } = await withCopy()
  putBack(copy, site.data, 'queue.db')
  await whileUp(async () => {
    expect(await listed(await add('five'))).toEqual(['five', 'four', 'one', 'three', 'two'])
    await until('every projection is at the head', async () => {
      const { stdout } = await cqrs('status', '--json')
      const { projections } = JSON.parse(stdout) as { projections: { lag: number }[] }
      return projections.length > 0 && projections.every(({ lag }) => lag === 0)
    })
    expect(await cqrs('audit')).toMatchObject({ exitCode: 0 })
  })
}, 120_000)

test('the runbook of a log that is older than the rest', async () => {
  const { site, copy, add, listed, cqrs, whileUp } = await withCopy()
  putBack(copy, site.data, 'events.db')
  const refused = await started(site.data)
  expect(refused.exitCode).not.toBe(0)
  expect(refused.stdout + refused.stderr).toContain('CQRS_LOG_TOO_SHORT')

  putBack(copy, site.data, 'control.db')
  rmSync(join(site.data, 'views'), { recursive: true })
  mkdirSync(join(site.data, 'views'))
  cpSync(join(copy, 'views'), join(site.data, 'views'), { recursive: true })
  await whileUp(async () => {
    expect(await listed(await add('five'))).toEqual(['five', 'one', 'two'])
    expect(await cqrs('audit')).toMatchObject({ exitCode: 0 })
  })
  expect(existsSync(join(site.data, 'events.db-mark'))).toBe(true)
}, 120_000)

test('an older log without the views of its backup: they are built anew when they were moved away', async () => {
  const { site, copy, add, listed, cqrs, whileUp } = await withCopy()
  putBack(copy, site.data, 'events.db')
  rmSync(join(site.data, 'views'), { recursive: true })
  await whileUp(async () => {
    expect(await listed(await add('five'))).toEqual(['five', 'one', 'two'])
    expect(await cqrs('audit')).toMatchObject({ exitCode: 0 })
  })
}, 120_000)
