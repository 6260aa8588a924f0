import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeNewFile } from '../../src/operator/cli/new-file.ts'
import { mountSmall, needsMounts } from '../support/mounts.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { run } from './fake-process.ts'

/** Two pieces, with something that happens in between. */
async function* pieces(between: () => void = () => {}) {
  yield 'first\n'
  between()
  yield 'second\n'
}

test('a file is there as a whole or not at all, and for its owner alone', async () => {
  const folder = tempFolder()
  const file = join(folder, 'events.ndjson')
  const broken = pieces(() => {
    expect(existsSync(file)).toBe(false)
    throw new Error('the engine is gone')
  })
  await expect(writeNewFile(file, broken, { overwrite: false })).rejects.toThrow('the engine is gone')
  expect(readdirSync(folder)).toEqual([])
  await writeNewFile(file, pieces(), { overwrite: false })
  expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['events.ndjson'])
})

test('a file that somebody puts there meanwhile stays as well', async () => {
  const folder = tempFolder()
  const file = join(folder, 'events.ndjson')
  const late = pieces(() => writeFileSync(file, 'mine'))
  await expect(writeNewFile(file, late, { overwrite: false })).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: expect.stringContaining('--overwrite'),
  })
  expect(readFileSync(file, 'utf8')).toBe('mine')
  expect(readdirSync(folder)).toEqual(['events.ndjson'])
})

test('a file that cannot be written is named, with what to do', async () => {
  const file = join(tempFolder(), 'nowhere', 'events.ndjson')
  await expect(writeNewFile(file, pieces(), { overwrite: false })).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: `${file} cannot be written (ENOENT: no such file or directory). Name a file in a folder that exists and that you may write to.`,
  })
})

test('a file for which the disk has no room is named, and leaves nothing behind', async (context) => {
  needsMounts(context)
  const folder = join(tempFolder(), 'small')
  mountSmall(folder, '64k')
  async function* large() {
    yield 'x'.repeat(1024 * 1024)
  }
  const file = join(folder, 'events.ndjson')
  await expect(writeNewFile(file, large(), { overwrite: false })).rejects.toMatchObject({
    code: 'CQRS_STORE_FULL',
    message: expect.stringMatching(/^There is no room for .*events\.ndjson, .*\(ENOSPC\)\. Free space/),
  })
  expect(readdirSync(folder)).toEqual([])
})

test('what is to be overwritten stays until what replaces it is whole', async () => {
  const file = join(tempFolder(), 'events.ndjson')
  writeFileSync(file, 'old')
  const broken = pieces(() => {
    throw new Error('the engine is gone')
  })
  await expect(writeNewFile(file, broken, { overwrite: true })).rejects.toThrow('the engine is gone')
  expect(readFileSync(file, 'utf8')).toBe('old')
  await writeNewFile(file, pieces(), { overwrite: true })
  expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n')
})

test.each([false, true])(
  'of two that write one file at once it holds one, whole: overwrite %s',
  async (overwrite) => {
    const folder = tempFolder()
    const file = join(folder, 'events.ndjson')
    async function* slower() {
      yield 'slower, first\n'
      await writeNewFile(file, pieces(), { overwrite })
      expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n')
      yield 'slower, second\n'
    }
    const written = await writeNewFile(file, slower(), { overwrite }).catch((error: unknown) => error)
    expect(written).toEqual(overwrite ? undefined : expect.objectContaining({ code: 'CQRS_VALIDATION' }))
    expect(readFileSync(file, 'utf8')).toBe(overwrite ? 'slower, first\nslower, second\n' : 'first\nsecond\n')
    expect(readdirSync(folder)).toEqual(['events.ndjson'])
  },
)

test('an export to a file that is there is refused before anything is asked of the system', async () => {
  const file = join(tempFolder(), 'events.ndjson')
  writeFileSync(file, 'old')
  const { exitCode, stderr } = await run(['events', 'export', file])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^CQRS_VALIDATION: .*events\.ndjson exists already .*--overwrite/)
  expect(readFileSync(file, 'utf8')).toBe('old')
})

test('what a killed export has left is removed by the next one of that name, once it is old', async () => {
  const folder = tempFolder()
  const file = join(folder, 'events.ndjson')
  const old = ['events.ndjson', 'other.ndjson'].map((name) => `${name}.${randomUUID()}.part`)
  const names = [...old, `events.ndjson.${randomUUID()}.part`, 'events.ndjson.mine.part', 'events.ndjson.gz']
  for (const name of names) {
    const isYoung = name === names[2]
    writeFileSync(join(folder, name), 'first\n')
    const written = Date.now() / 1_000 - (isYoung ? 3_000 : 4_000)
    utimesSync(join(folder, name), written, written)
  }
  await writeNewFile(file, pieces(), { overwrite: false })
  expect(readdirSync(folder).sort()).toEqual(['events.ndjson', ...names.slice(1)].sort())
})
