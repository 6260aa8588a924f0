import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteControl } from '../../../src/control/sqlite/control-store.ts'
import inventory from '../../../src/inventory/app.ts'
import { adoptViews } from '../../../src/workers/projections/adopt.ts'
import { setAsideUnknownViews } from '../../../src/workers/projections/unknown-views.ts'
import { itemSite } from '../../support/item-site.ts'
import { tempFolder } from '../../support/temp-folder.ts'

/** A data folder whose control store knows generation 1 of each view and generation 2 of the list. */
async function folder() {
  const data = tempFolder()
  const views = join(data, 'views')
  mkdirSync(views)
  const control = openSqliteControl({ path: join(data, 'control.db') })
  onTestFinished(() => control.close())
  await adoptViews(inventory, data, control)
  const list = {
    projection: 'inventory-list',
    version: 1,
    partitions: 1,
    purpose: 'serve',
    by: 'a test',
  } as const
  expect(await control.request(list)).toMatchObject({ generation: 2 })
  const told: { from: string; to: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void told.push(JSON.parse(line)) })
  const put = (...files: string[]) => {
    for (const file of files) writeFileSync(join(views, file), `what ${file} holds`)
  }
  const held = (file: string) => readFileSync(join(views, file), 'utf8')
  const found = () =>
    readdirSync(views, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(views.length + 1))
      .toSorted()
  return {
    views,
    told,
    put,
    held,
    found,
    setAside: () => setAsideUnknownViews(inventory, data, control, log),
  }
}

test('what belongs to no generation is moved aside, with what lies beside it, and said; nothing else is touched', async () => {
  const { views, told, put, held, found, setAside } = await folder()
  const stay = [
    'inventory-list.1.db',
    'inventory-list.2.db',
    'inventory-list.2.db-wal',
    'inventory-stats.1.db',
  ]
  // Another app's, and what only looks like a view.
  const strange = ['inventory-lists.3.db', 'inventory-list.x.db', 'inventory-list.3.db.bak']
  put(...stay, ...strange)
  put(
    'inventory-list.3.db',
    'inventory-list.3.db-wal',
    'inventory-list.3.db-shm',
    'inventory-stats.2.1of4.db',
  )
  await setAside()
  expect(found()).toEqual(
    [
      ...stay,
      ...strange,
      'aside/1/inventory-list.3.db',
      'aside/1/inventory-list.3.db-wal',
      'aside/1/inventory-list.3.db-shm',
      'aside/1/inventory-stats.2.1of4.db',
    ].toSorted(),
  )
  expect(held('aside/1/inventory-list.3.db-wal')).toBe('what inventory-list.3.db-wal holds')
  const told1 = ['inventory-list.3.db', 'inventory-stats.2.1of4.db'].map((file) =>
    expect.objectContaining({ from: join(views, file), to: join(views, 'aside', '1', file) }),
  )
  expect(told).toEqual(told1)
})

test('a second file of one name takes the place of none, and who was killed halfway goes on', async () => {
  const { views, put, held, found, setAside } = await folder()
  put('inventory-list.3.db')
  await setAside()
  put('inventory-list.3.db', 'inventory-list.3.db-wal')
  writeFileSync(join(views, 'inventory-list.3.db'), 'another one')
  mkdirSync(join(views, 'aside', '2'))
  renameSync(join(views, 'inventory-list.3.db-wal'), join(views, 'aside', '2', 'inventory-list.3.db-wal'))
  await setAside()
  expect(found()).toEqual([
    'aside/1/inventory-list.3.db',
    'aside/2/inventory-list.3.db',
    'aside/2/inventory-list.3.db-wal',
  ])
  expect([held('aside/1/inventory-list.3.db'), held('aside/2/inventory-list.3.db')]).toEqual([
    'what inventory-list.3.db holds',
    'another one',
  ])
})

test('after a backup was put over a newer data folder a rebuild is of its log, and of no file that was left', async () => {
  const { site, add, listed, cqrs, whileUp } = await itemSite()
  const copy = join(tempFolder(), 'copy')
  await whileUp(async () => void (await listed(await add('one'))))
  cpSync(site.data, copy, { recursive: true })
  await whileUp(async () => {
    await add('two')
    expect(await cqrs('rebuild', 'inventory-list')).toMatchObject({ exitCode: 0 })
    expect(await listed(await add('three'))).toEqual(['one', 'three', 'two'])
  })
  // All of the backup, and beside it what was newer: the second generation of the list.
  const left = readdirSync(join(site.data, 'views')).filter((file) => file.startsWith('inventory-list.2.'))
  expect(left).toContain('inventory-list.2.db')
  for (const file of left) cpSync(join(site.data, 'views', file), join(copy, 'views', file))
  renameSync(site.data, `${site.data}.before`)
  renameSync(copy, site.data)
  await whileUp(async () => {
    await add('four')
    expect(await listed(await add('five'))).toEqual(['five', 'four', 'one'])
    expect(await cqrs('rebuild', 'inventory-list')).toMatchObject({ exitCode: 0 })
    expect(await listed(await add('six'))).toEqual(['five', 'four', 'one', 'six'])
    expect(await cqrs('audit')).toMatchObject({ exitCode: 0 })
  })
}, 120_000)
