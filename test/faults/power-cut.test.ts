import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { markPath, readHighWater } from '../../src/sqlite/high-water.ts'
import { DiskModel, unescaped } from '../support/disk-model.ts'
import { between, seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { needsStrace } from '../support/traced.ts'
import { until } from '../support/until.ts'

const APPENDING = fileURLToPath(new URL('../support/appending-process.ts', import.meta.url))

/** Power cuts that each test tries. */
const CUTS = 60

/** An event log that real processes write one after the other, every write and sync of which is traced. */
function tracedLog() {
  const folder = tempFolder()
  const path = join(folder, 'events.db')
  const report = join(folder, 'report')
  const traces: string[] = []
  const files = [path, `${path}-wal`, markPath(path)]
  const reported = () => (existsSync(report) ? readFileSync(report, 'utf8').split('\n') : [])
  return {
    path,
    report,
    reported,
    /** Runs a process until `enough` and kills it. @param fault an injection of strace into syncs of the log */
    async run(first: number, fault: string | undefined, enough: (lines: readonly string[]) => boolean) {
      const trace = join(folder, `trace-${traces.length}`)
      traces.push(trace)
      const calls = 'pwrite64,write,ftruncate,fsync,fdatasync'
      const args = ['-f', '-qq', '-y', '-xx', '-s', '2000000', '-o', trace, '-e', `trace=${calls}`]
      const inject = fault ? [`--inject=fsync,fdatasync:error=EIO:when=${fault}`] : []
      const paths = [...files, report].flatMap((file) => ['-P', file])
      const child = spawn(
        'strace',
        [...args, ...inject, ...paths, process.execPath, APPENDING, path, report, String(first)],
        { stdio: 'inherit', detached: true },
      )
      const exited = once(child, 'exit')
      const kill = () => process.kill(-(child.pid as number), 'SIGKILL')
      onTestFinished(() => (child.exitCode === null && child.signalCode === null ? void kill() : undefined))
      await until('the appending process has done enough', () => enough(reported()), 60_000)
      kill()
      await exited
    },
    trace: () => traces.flatMap((trace) => readFileSync(trace, 'utf8').split('\n')),
  }
}

/** Cuts the power at drawn moments of a trace, and looks for everything that was acknowledged by then. */
async function expectNothingLost({ path, report, trace }: ReturnType<typeof tracedLog>, seed: number) {
  const random = seededRandom(seed)
  const lines = trace()
  const cuts = new Set([
    lines.length,
    ...Array.from({ length: CUTS }, () => between(random, 1, lines.length)),
  ])
  const disk = new DiskModel()
  const acknowledged = new Map<string, number>()
  const folder = tempFolder()
  for (const [index, line] of lines.entries()) {
    disk.observe(line)
    const said = /\bwrite\(\d+<([^>]+)>, "((?:\\x[0-9a-f]{2})*)"/.exec(line)
    if (said && unescaped(String(said[1])).toString() === report) {
      const text = unescaped(String(said[2])).toString()
      const [, key, position] = /^stored (\S+) (\d+)/.exec(text) ?? []
      if (key) acknowledged.set(key, Number(position))
    }
    if (!cuts.has(index + 1)) continue
    const left = join(folder, String(index), 'events.db')
    mkdirSync(join(folder, String(index)))
    for (const suffix of ['', '-wal', '-mark']) {
      writeFileSync(left + suffix, disk.afterPowerCut(path + suffix, random))
    }
    const log = openSqliteEventLog({ path: left })
    const why = `power cut at line ${index + 1} of ${lines.length}, seed ${seed}`
    for (const [key, position] of acknowledged) {
      expect(await log.findCommand(key), `${key}, ${why}`).toMatchObject({ position })
    }
    const head = await log.head()
    expect(head, why).toBeGreaterThanOrEqual(readHighWater(left))
    const { events } = await log.readFrom(0, { limit: head + 1 })
    expect(events.length, why).toBe(head)
    await log.close()
  }
  return acknowledged.size
}

const stored = (lines: readonly string[]) => lines.filter((line) => line.startsWith('stored')).length
const refused = (lines: readonly string[]) => lines.filter((line) => line.startsWith('refused')).length

test('whenever the power is cut, everything that was acknowledged is in the log', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, undefined, (lines) => stored(lines) > 150)
  await log.run(1_000, undefined, (lines) => stored(lines) > 200)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(200)
}, 120_000)

test('syncs that fail and whose pages the kernel drops take nothing along that is acknowledged later', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, '30+5', (lines) => stored(lines) > 150)
  expect(log.reported().filter((line) => / CQRS_STORE_UNAVAILABLE$/.test(line)).length).toBe(
    refused(log.reported()),
  )
  expect(refused(log.reported())).toBeGreaterThan(0)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(150)
}, 120_000)

test('a process that dies right after a failed sync leaves no gap for those that follow', async (context) => {
  needsStrace(context)
  const seed = testSeed()
  const log = tracedLog()
  await log.run(1, '40+', (lines) => refused(lines) > 0)
  const before = stored(log.reported())
  await log.run(1_000, undefined, (lines) => stored(lines) > before + 30)
  expect(await expectNothingLost(log, seed)).toBeGreaterThan(before + 30)
}, 120_000)
