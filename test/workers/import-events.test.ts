import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { openSqliteSnapshots } from '../../src/command/sqlite/snapshot-store.ts'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import app from '../../src/inventory/app.ts'
import { allUnits } from '../../src/kernel/unit.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { exportEvents } from '../../src/operator/events.ts'
import { Projector } from '../../src/projection/projector.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { storeFiles } from '../../src/sqlite/store-files.ts'
import { toHead } from '../support/ledger.ts'
import { runProgram } from '../support/program.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** A data folder with a log, views of all of it, and an export of it. */
async function folder(events: number) {
  const data = join(tempFolder(), 'data')
  await seedInventory({ data, events, items: 2 })
  const log = openSqliteEventLog({ path: dataPaths(data).events })
  for (const { name, projection } of allUnits(app)) {
    const view = openSqliteView(viewPath(data, name), projection)
    const projector = new Projector({
      projection,
      catalog: app.events,
      log,
      view,
      policy: { maxAttempts: 3, baseMs: 100, capMs: 1_000 },
      turns: new Turns(),
      batchSize: 100,
      documentCache: { documents: 100, bytes: 64_000_000 },
      now: Date.now,
      random: Math.random,
    })
    await toHead(projector)
    await view.close()
  }
  const file = join(tempFolder(), 'events.ndjson')
  writeFileSync(file, (await Array.fromAsync(exportEvents({ app, log }, {}))).join(''))
  await log.close()
  const loseLog = () => {
    for (const path of storeFiles(dataPaths(data).events)) rmSync(path, { force: true })
  }
  const cqrs = (...args: string[]) => runProgram(args, tempFolder(), { CQRS_DATA: data })
  return { data, file, loseLog, cqrs }
}

test('a log that was lost is imported again, and the views that had all of it stay', async () => {
  const { file, loseLog, cqrs } = await folder(400)
  loseLog()
  expect(await cqrs('events', 'import', file)).toEqual({
    exitCode: 0,
    stdout: '400 events imported; the log ends at 400 now.\n',
    stderr: '',
  })
})

test('views that were left of another log are named after an import that reaches beyond them', async () => {
  const { data, loseLog, cqrs } = await folder(200)
  const other = await folder(400)
  loseLog()
  const told = await cqrs('events', 'import', other.file)
  expect(told).toMatchObject({ exitCode: 1, stdout: '400 events imported; the log ends at 400 now.\n' })
  expect(told.stderr).toContain(
    'made from other events than the log has now. Before you start the system, move their files away',
  )
  for (const { name } of allUnits(app)) expect(told.stderr).toContain(`${viewPath(data, name)}: `)
})

test('a stretch that does not reach the views says nothing of them, and a folder without views gets none', async () => {
  const { data, loseLog, cqrs } = await folder(400)
  const log = openSqliteEventLog({ path: dataPaths(data).events })
  const pieces = await Array.fromAsync(exportEvents({ app, log }, { to: 300 }))
  await log.close()
  const file = join(tempFolder(), 'first.ndjson')
  writeFileSync(file, pieces.join(''))
  loseLog()
  expect(await cqrs('events', 'import', file)).toMatchObject({ exitCode: 0, stderr: '' })
  const empty = join(tempFolder(), 'data')
  const taken = await runProgram(['events', 'import', file], tempFolder(), { CQRS_DATA: empty })
  expect(taken).toMatchObject({ exitCode: 0, stderr: '' })
  expect([existsSync(dataPaths(empty).control), existsSync(dataPaths(empty).views)]).toEqual([false, false])
})

test('no snapshot of a stream outlives the log that it was folded from', async () => {
  const { data, file, loseLog, cqrs } = await folder(200)
  const { snapshots, events } = dataPaths(data)
  const store = openSqliteSnapshots(snapshots, pino({ level: 'silent' }))
  const stream = 'inventory-item-seeded-0'
  store.save({ stream, version: 1, position: 1, eventId: 'e', state: '{}', fingerprint: 'f' })
  await store.close()
  const kept = openSqliteSnapshots(snapshots, pino({ level: 'silent' }))
  expect(await kept.find(stream)).toBeDefined()
  await kept.close()
  // Edited by somebody who keeps the ids, and put in the place of the log that was.
  loseLog()
  expect(await cqrs('events', 'import', file)).toMatchObject({ exitCode: 0 })
  expect(existsSync(events)).toBe(true)
  expect(storeFiles(snapshots).filter((each) => existsSync(each))).toEqual([])
})
