import { execFile } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A disk of its own, small enough to be filled. */
export interface SmallDisk {
  /** Fills the disk for `forMs` milliseconds, then frees the space again. */
  fill(forMs: number, signal: AbortSignal): Promise<void>
  unmount(): Promise<void>
}

/** How an attempt to mount one ended. */
export type Mounted =
  | { readonly ok: true; readonly disk: SmallDisk }
  | { readonly ok: false; readonly why: string }

/** Written piece by piece until no more fits; then in ever smaller pieces. */
const PIECE = Buffer.alloc(1_048_576, 1)

/** How often space that was freed meanwhile is filled as well, in milliseconds. */
const AGAIN_MS = 50

/**
 * Mounts a disk of `bytes` bytes in memory on the folder `path`, which it creates. This needs Linux and the right to
 * mount.
 */
export async function mountSmallDisk(path: string, bytes: number): Promise<Mounted> {
  if (process.platform !== 'linux')
    return { ok: false, why: `disks in memory need Linux, not ${process.platform}` }
  mkdirSync(path, { recursive: true, mode: 0o700 })
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', path])
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    return { ok: false, why: `a disk in memory could not be mounted: ${(stderr || message).trim()}` }
  }
  const ballast = join(path, 'ballast')
  return {
    ok: true,
    disk: {
      async fill(forMs, signal) {
        const deadline = performance.now() + forMs
        const file = openSync(ballast, 'a', 0o600)
        try {
          while (performance.now() < deadline && !signal.aborted) {
            fillUp(file)
            await delay(Math.min(AGAIN_MS, forMs), undefined, { signal }).catch(() => {})
          }
        } finally {
          closeSync(file)
          rmSync(ballast, { force: true })
        }
      },
      async unmount() {
        await run('umount', ['--lazy', path])
      },
    },
  }
}

function fillUp(file: number): void {
  for (let size = PIECE.length; size >= 512; ) {
    try {
      if (writeSync(file, PIECE, 0, size) < size) size /= 2
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      size /= 2
    }
  }
}
