import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished, type TestContext } from 'vitest'
import { tempFolder } from './temp-folder.ts'

/** Skips a test that needs a file system of its own where none can be mounted, and prints why. */
export function needsMounts({ task, skip }: TestContext): void {
  const folder = tempFolder()
  const reason = mount(['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  if (!reason) {
    spawnSync('umount', [folder])
    return
  }
  process.stderr.write(`skipped: ${task.name}: nothing can be mounted: ${reason}\n`)
  skip(reason)
}

/** A small file system at a folder, which is made; it is unmounted when the test ends. */
export function mountSmall(folder: string, size: string): { remount(mode: 'ro' | 'rw'): void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  orThrow(mount(['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder]))
  // Lazily: processes of the test may end after it.
  onTestFinished(() => void spawnSync('umount', ['-l', folder]))
  return { remount: (mode) => orThrow(mount(['-o', `remount,${mode}`, folder])) }
}

/** Takes all the space that is left in a folder; gives the file that holds it. */
export function fill(folder: string): string {
  const path = join(folder, 'ballast')
  const file = openSync(path, 'w')
  for (const size of [1024 * 1024, 4_096, 1]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  closeSync(file)
  return path
}

/** @returns why it did not work */
function mount(args: readonly string[]): string | undefined {
  const { error, status, stderr } = spawnSync('mount', args)
  if (error) return error.message
  return status === 0 ? undefined : String(stderr).trim()
}

function orThrow(reason: string | undefined): void {
  if (reason) throw new Error(`mount failed: ${reason}`)
}
