import { execFileSync } from 'node:child_process'
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'

/** What a reader has to know about the machine to judge the figures. */
export interface MachineFacts {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly os: string
  readonly node: string
  readonly sqlite: string
  readonly filesystem: string
  /** Processes that wanted to run when the bench began, over the last minute: above 0 somebody else was at work. */
  readonly loadBefore: number
  /** The median time of one write of 4 KiB with fsync, in milliseconds. */
  readonly fsyncMs: number
  readonly at: string
}

/** @param folder where the stores of the bench will lie */
export function machineFacts(folder: string, now: Date): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${process.platform} ${release()}`,
    node: process.version,
    sqlite: process.versions.sqlite ?? 'unknown',
    filesystem: filesystemOf(folder),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    fsyncMs: measureFsync(folder),
    at: now.toISOString(),
  }
}

function filesystemOf(folder: string): string {
  if (process.platform !== 'linux') return 'unknown'
  const lines = execFileSync('df', ['--output=fstype', folder], { encoding: 'utf8' }).trim().split('\n')
  return lines.at(-1) ?? 'unknown'
}

function measureFsync(folder: string, times = 50): number {
  const path = join(folder, 'fsync')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(4_096, 1)
  const taken = Array.from({ length: times }, () => {
    const began = performance.now()
    writeSync(file, block)
    fsyncSync(file)
    return performance.now() - began
  })
  closeSync(file)
  rmSync(path)
  return Math.round((taken.sort((left, right) => left - right)[times >> 1] ?? 0) * 1_000) / 1_000
}
