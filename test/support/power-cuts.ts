import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { DiskModel, unescaped } from './disk-model.ts'
import { between, seededRandom } from './random.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

/** A store that real processes write one after the other, every write and sync of which is traced. */
export interface TracedStore {
  /** What the processes have reported, by line. */
  reported(): string[]
  /** Runs a process until `enough` and kills it. @param fault an injection of strace into syncs of the store */
  run(first: number, fault: string | undefined, enough: (lines: readonly string[]) => boolean): Promise<void>
  /**
   * Cuts the power at drawn moments of all that was traced.
   *
   * @param look looks for what was `acknowledged` by then in the store that is left; `why` names the moment
   * @returns how much was acknowledged in all
   */
  cutPower(options: {
    cuts: number
    seed: number
    look(left: string, acknowledged: ReadonlyMap<string, number>, why: string): Promise<void>
  }): Promise<number>
}

/**
 * @param program in this folder, that is started with the path of the store, that of its report, and where to begin; it
 *   reports `stored KEY NUMBER` for what is acknowledged
 * @param name of the store's file
 * @param suffixes of the files that are traced
 */
export function tracedStore(program: string, name: string, suffixes: readonly string[]): TracedStore {
  const folder = tempFolder()
  const path = join(folder, name)
  const report = join(folder, 'report')
  const traces: string[] = []
  const reported = () => (existsSync(report) ? readFileSync(report, 'utf8').split('\n') : [])
  return {
    reported,
    async run(first, fault, enough) {
      const trace = join(folder, `trace-${traces.length}`)
      traces.push(trace)
      const calls = 'pwrite64,write,ftruncate,fsync,fdatasync'
      const args = ['-f', '-qq', '-y', '-xx', '-s', '2000000', '-o', trace, '-e', `trace=${calls}`]
      const inject = fault ? [`--inject=fsync,fdatasync:error=EIO:when=${fault}`] : []
      const paths = [...suffixes.map((suffix) => path + suffix), report].flatMap((file) => ['-P', file])
      const script = fileURLToPath(new URL(program, import.meta.url))
      const child = spawn(
        'strace',
        [...args, ...inject, ...paths, process.execPath, script, path, report, String(first)],
        { stdio: 'inherit', detached: true },
      )
      const exited = once(child, 'exit')
      const kill = () => process.kill(-(child.pid as number), 'SIGKILL')
      onTestFinished(() => (child.exitCode === null && child.signalCode === null ? void kill() : undefined))
      // What was reported last may be missing in the trace, which is written after the call that it tells of.
      const traced = () => reported().slice(0, -2)
      await until('the traced process has done enough', () => enough(traced()), 60_000)
      kill()
      await exited
    },
    async cutPower({ cuts, seed, look }) {
      const lines = traces.flatMap((trace) => readFileSync(trace, 'utf8').split('\n'))
      const random = seededRandom(seed)
      const moments = new Set([
        lines.length,
        ...Array.from({ length: cuts }, () => between(random, 1, lines.length)),
      ])
      const disk = new DiskModel()
      const acknowledged = new Map<string, number>()
      const after = tempFolder()
      for (const [index, line] of lines.entries()) {
        disk.observe(line)
        const [, file = '', said = ''] = /\bwrite\(\d+<([^>]+)>, "((?:\\x[0-9a-f]{2})*)"/.exec(line) ?? []
        if (unescaped(file).toString() === report) {
          const [, key, number] = /^stored (\S+) (\d+)/.exec(unescaped(said).toString()) ?? []
          if (key) acknowledged.set(key, Number(number))
        }
        if (!moments.has(index + 1)) continue
        const left = join(after, String(index), basename(path))
        mkdirSync(join(after, String(index)))
        for (const suffix of suffixes) {
          writeFileSync(left + suffix, disk.afterPowerCut(path + suffix, random))
        }
        await look(left, acknowledged, `power cut at line ${index + 1} of ${lines.length}, seed ${seed}`)
      }
      return acknowledged.size
    },
  }
}
