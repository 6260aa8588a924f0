import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../../src/config/paths.ts'
import { openSqliteViewReader } from '../../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../../src/projection/sqlite/view-store.ts'
import { storeFiles } from '../../../src/sqlite/store-files.ts'
import { liveUnit, projection } from '../../support/live-unit.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import { until } from '../../support/until.ts'

/** A live view that has applied two events. */
async function twoEvents() {
  const unit = await liveUnit({ level: 'warn' })
  const path = viewPath(unit.data, 'troubled')
  let version = 0
  const move = async () => {
    const moved = { type: 'moved', schemaVersion: 1, data: { account: 'ada', amount: 1 } }
    const metadata = { commandId: `c${version}`, correlationId: 'c' }
    await unit.events.append({ stream: 'ada', expectedVersion: version, events: [moved], metadata })
    version += 1
  }
  const read = async (file: string) => {
    const view = openSqliteViewReader(file, projection)
    try {
      return { position: await view.position(), document: await view.get('ada') }
    } finally {
      await view.close()
    }
  }
  /** Waits until a reader finds the view at a position, and gives the document that it finds there. */
  const readersFind = async (position: number, file = path) => {
    await until(`readers find ${position}`, async () => (await read(file)).position === position)
    return (await read(file)).document
  }
  await move()
  await move()
  await unit.open()
  await readersFind(2)
  return { ...unit, path, move, readersFind }
}

const SAID = [expect.stringMatching(/was removed or replaced while it was in use.*built again from the log/)]

test('a view whose file is removed while it is live is built again from the log, and goes on', async () => {
  const { path, lines, move, readersFind } = await twoEvents()
  for (const file of storeFiles(path)) rmSync(file)
  expect(await readersFind(2)).toEqual({ account: 'ada', balance: 2 })
  await move()
  expect(await readersFind(3)).toEqual({ account: 'ada', balance: 3 })
  expect(lines).toEqual(SAID)
})

test('a view whose file is replaced while it is live goes on from the one that is there now', async () => {
  const { path, lines, move, readersFind } = await twoEvents()
  const db = new DatabaseSync(path, { readOnly: true })
  db.exec(`VACUUM INTO '${path}-copy'`)
  db.close()
  await move()
  await readersFind(3)
  for (const file of storeFiles(path).slice(1)) rmSync(file)
  renameSync(`${path}-copy`, path)
  await move()
  expect(await readersFind(4)).toEqual({ account: 'ada', balance: 4 })
  expect(lines).toEqual(SAID)
})

test('a view whose whole folder is out of reach for a while is not begun again', async () => {
  const { path, lines, move, readersFind } = await twoEvents()
  const folder = dirname(path)
  renameSync(folder, `${folder}-moved`)
  await move()
  await readersFind(3, join(`${folder}-moved`, basename(path)))
  renameSync(`${folder}-moved`, folder)
  await move()
  await readersFind(4)
  expect(lines).toEqual([])
})

test('a generation kept for a rollback, whose file is removed, leaves the active one alone', async () => {
  const { data, control, lines, move, readersFind, generation } = await twoEvents()
  await control.request({ projection: 'troubled', version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  await until('the first generation is kept', async () => (await generation(1))?.state === 'previous')
  for (const file of storeFiles(viewPath(data, 'troubled'))) rmSync(file)
  await until('it is let go', () => lines.includes('A generation cannot go on'))
  expect(lines).toEqual(expect.arrayContaining(SAID))
  const path = viewPath(data, 'troubled', { generation: 2, partition: { index: 0, count: 1 } })
  await move()
  expect(await readersFind(3, path)).toEqual({ account: 'ada', balance: 3 })
})

test('a view whose file cannot be looked for is refused with an error that says what to do', () => {
  const path = join(tempFolder(), 'view.db')
  symlinkSync(path, path)
  const refused = expect.objectContaining({
    code: 'CQRS_STORE_UNAVAILABLE',
    message: expect.stringMatching(/view\.db failed: .*check the disk/),
  })
  expect(() => openSqliteView(path, projection)).toThrow(refused)
  expect(() => openSqliteViewReader(path, projection)).toThrow(refused)
})

test('a view is begun anew although another process still reads the file that was removed', async () => {
  const path = join(tempFolder(), 'view.db')
  const open = () => openSqliteView(path, projection)
  const first = open()
  const script = `const db = new (require('node:sqlite').DatabaseSync)(process.argv[1])
    db.prepare('SELECT * FROM checkpoint').get()
    process.stdin.resume()
    console.log('open')`
  const other = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void other.kill())
  await once(other.stdout, 'data')
  rmSync(path)
  await first.close()
  const second = open()
  expect(await second.checkpoint()).toMatchObject({ position: 0, revision: 0 })
  await second.close()
})
