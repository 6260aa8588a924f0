import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unfitFileSystem } from '../../src/sqlite/file-system.ts'

test.each([
  [0x01021994, 'tmpfs', 'gone when the machine stops'],
  [0x794c7630, 'overlayfs', 'gone when the container is removed'],
  [0x6969, 'NFS', 'locks'],
  [0x65735546, 'FUSE', 'locks'],
])('a data folder on the file system %i is on %s, which cannot keep it safe', (type, name, why) => {
  expect(unfitFileSystem('/srv/shop/data', () => type)).toEqual({
    name,
    advice: expect.stringContaining(why),
  })
})

test('nothing is said of a disk, nor of a temporary folder that is what it says; of a share it is', () => {
  const ext4 = 0xef53
  const temporary = join(tmpdir(), 'data-that-is-not-there')
  expect(unfitFileSystem('/srv/shop/data', () => ext4)).toBeUndefined()
  expect(unfitFileSystem('/srv/shop/data', () => undefined)).toBeUndefined()
  expect(unfitFileSystem(temporary, () => 0x01021994)).toBeUndefined()
  expect(unfitFileSystem(temporary, () => 0x6969)).toMatchObject({ name: 'NFS' })
})

test('the numbers are those of this system', (context) => {
  const { stdout } = spawnSync('stat', ['--file-system', '--format=%T', '/dev/shm'], { encoding: 'utf8' })
  if (stdout.trim() !== 'tmpfs') {
    process.stderr.write(`skipped: ${context.task.name}: /dev/shm is no tmpfs here\n`)
    context.skip('/dev/shm is no tmpfs here')
  }
  expect(unfitFileSystem('/dev/shm/shop/data')).toMatchObject({ name: 'tmpfs' })
})
