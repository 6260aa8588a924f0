import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { inFolder } from './lab/folder.ts'
import { saturation, startHttpLoad, startWatch, untilVisible } from './lab/load.ts'
import { type BenchSystem, memoryOf, openOf, ROLES, startSystem } from './lab/system.ts'
import { defineScenario, type Row } from './scenario.ts'

/** What may grow between the second and the last quarter of a soak before it counts as growth. */
const TOLERANCE = { share: 1.25, memoryMiB: 24, files: 4 }

interface Sample {
  readonly memory: Readonly<Record<string, number>>
  /** Open files; the load's own connections are none of the system's doing. */
  readonly files: number
  /** Write-ahead logs, in MiB. */
  readonly wal: number
}

export const soak = defineScenario({
  name: 'soak',
  title: 'minutes at half load: memory, open files, write-ahead logs and lag have to stay flat, or it fails',
  durable: 'the events of each answered command: fsync before the answer',
  options: {
    minutes: { help: 'how long', default: 5, tiny: 0.05 },
    rate: { help: 'commands per second; 0: half of what the system takes', default: 0, tiny: 30 },
    flat: { help: '1: fail if something grows; 0: only report it', default: 1, tiny: 0 },
  },
  async run({ options, folder, say, note }) {
    return inFolder(folder, async (at) => {
      const system = await startSystem({ data: `${at}/data` })
      try {
        const rate = options.rate || Math.floor((await saturation(system, 4)) / 2)
        const seconds = options.minutes * 60
        const socketsBefore = sockets(system)
        const watch = startWatch(system.data, 10)
        await watch.ready
        const load = startHttpLoad(system.http, { pace: { open: rate }, seconds, record: true })
        await load.ready
        const samples: Sample[] = []
        for (let left = seconds; left > 0; left -= seconds / 40) {
          samples.push(sample(system))
          say(`${Math.round(left)} s left`)
          await delay((seconds * 1_000) / 40)
        }
        const { latency, answers, statuses } = await load.result
        await delay(1_500)
        const moves = await watch.stop()
        const socketsAfter = sockets(system)
        const early = quarter(samples, 1)
        const late = quarter(samples, 3)
        const lag = [1, 3].map((nth) => untilVisible(quarterOf(answers, nth), moves))
        const rows: Row[] = Object.keys(late.memory).map((role) => ({
          of: { what: `memory of ${role}, MiB` },
          is: { 'second quarter': early.memory[role] ?? 0, 'last quarter': late.memory[role] ?? 0 },
        }))
        rows.push(
          line('open files, all processes', early.files, late.files),
          {
            of: { what: 'sockets, all processes' },
            is: { 'before the load': socketsBefore, 'after it': socketsAfter },
          },
          line('write-ahead logs, MiB', early.wal, late.wal),
          line('from answer to every view, p99 ms', lag[0]?.p99 ?? 0, lag[1]?.p99 ?? 0),
          line('answers, p99 ms', latency.p99, latency.p99),
        )
        note(
          `${rate} commands per second for ${options.minutes} minutes; answers: ${JSON.stringify(statuses)}.`,
        )
        const grown = growth(early, late)
        if (socketsAfter > socketsBefore + TOLERANCE.files)
          grown.push(`of the sockets ${socketsAfter - socketsBefore} were left open`)
        if (grown.length > 0 && options.flat === 1) throw new Error(`Not flat: ${grown.join('; ')}.`)
        for (const each of grown) note(`Not flat: ${each}.`)
        return rows
      } finally {
        await system.stop()
      }
    })
  },
})

function pidsOf(system: BenchSystem) {
  return ROLES.flatMap((role) => {
    const pid = system.pidOf(role)
    return pid === undefined ? [] : [[role, pid] as const]
  })
}

function sockets(system: BenchSystem): number {
  return pidsOf(system).reduce((sum, [, pid]) => sum + openOf(pid).sockets, 0)
}

function sample(system: BenchSystem): Sample {
  const pids = pidsOf(system)
  return {
    memory: Object.fromEntries(pids.map(([role, pid]) => [role, memoryOf(pid) / 2 ** 20])),
    files: pids.reduce((sum, [, pid]) => sum + openOf(pid).files, 0),
    wal: walMiB(system.data),
  }
}

function walMiB(data: string): number {
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('-wal'),
  )
  return (
    files.reduce((sum, file) => sum + (statSync(join(data, file), { throwIfNoEntry: false })?.size ?? 0), 0) /
    2 ** 20
  )
}

/** The greatest values of the nth quarter, from 0. */
function quarter(samples: readonly Sample[], nth: number): Sample {
  const part = quarterOf(samples, nth)
  const roles = Object.keys(part[0]?.memory ?? {})
  return {
    memory: Object.fromEntries(
      roles.map((role) => [role, Math.max(...part.map(({ memory }) => memory[role] ?? 0))]),
    ),
    files: Math.max(...part.map(({ files }) => files)),
    wal: Math.max(...part.map(({ wal }) => wal)),
  }
}

function quarterOf<Item>(items: readonly Item[], nth: number): Item[] {
  const size = Math.ceil(items.length / 4)
  return items.slice(nth * size, (nth + 1) * size)
}

function growth(early: Sample, late: Sample): string[] {
  const grown = Object.entries(late.memory)
    .filter(([role, mib]) => mib > (early.memory[role] ?? mib) * TOLERANCE.share + TOLERANCE.memoryMiB)
    .map(([role, mib]) => `the memory of ${role} grew to ${Math.round(mib)} MiB`)
  if (late.files > early.files + TOLERANCE.files) grown.push(`open files grew to ${late.files}`)
  if (late.wal > early.wal * TOLERANCE.share + 64)
    grown.push(`write-ahead logs grew to ${Math.round(late.wal)} MiB`)
  return grown
}

function line(what: string, early: number, late: number): Row {
  return { of: { what }, is: { 'second quarter': early, 'last quarter': late } }
}
