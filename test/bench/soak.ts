import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { inFolder } from './lab/folder.ts'
import { saturation, startHttpLoad, startWatch, untilVisible } from './lab/load.ts'
import { type BenchSystem, memoryOf, openOf, ROLES, startSystem } from './lab/system.ts'
import { defineScenario, type Row } from './scenario.ts'

/** What may grow between the second and the last quarter of a soak before it counts as growth. */
const TOLERANCE = { share: 1.25, memoryMiB: 24, files: 4, walMiB: 64, storeMiB: 24, lagShare: 2, lagMs: 50 }

/** What is looked at in a soak, or the greatest of it over some time. */
export interface Sample {
  readonly memory: Readonly<Record<string, number>>
  /** Open files; the load's own connections are none of the system's doing. */
  readonly files: number
  /** Write-ahead logs, in MiB. */
  readonly wal: number
  /** Stores that hold as much at the end as at the beginning, in MiB by file: all but the log. */
  readonly stores: Readonly<Record<string, number>>
}

export const soak = defineScenario({
  name: 'soak',
  title:
    'minutes at half load: memory, open files, the files of all stores but the log, and lag have to stay flat, or it fails',
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
          ...Object.entries(late.stores).map(([store, mib]) =>
            line(`${store}, MiB`, early.stores[store] ?? mib, mib),
          ),
          line('from answer to every view, p99 ms', lag[0]?.p99 ?? 0, lag[1]?.p99 ?? 0),
        )
        note(`Answers took ${latency.p50} ms (p50) and ${latency.p99} ms (p99) over the whole time.`)
        note(
          `${rate} commands per second for ${options.minutes} minutes; answers: ${JSON.stringify(statuses)}.`,
        )
        const grown = growth({ ...early, lagMs: lag[0]?.p99 ?? 0 }, { ...late, lagMs: lag[1]?.p99 ?? 0 })
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
    wal: [...mibOf(system.data, '-wal').values()].reduce((sum, mib) => sum + mib, 0),
    stores: Object.fromEntries([...mibOf(system.data, '.db')].filter(([file]) => file !== 'events.db')),
  }
}

/** How large the files of a data folder are that end so, in MiB. */
function mibOf(data: string, end: string): Map<string, number> {
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(end))
  return new Map(
    files.map((file) => [
      basename(file),
      (statSync(join(data, file), { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20,
    ]),
  )
}

/** The greatest values of the nth quarter, from 0. */
function quarter(samples: readonly Sample[], nth: number): Sample {
  const part = quarterOf(samples, nth)
  return {
    memory: greatest(part.map(({ memory }) => memory)),
    files: Math.max(...part.map(({ files }) => files)),
    wal: Math.max(...part.map(({ wal }) => wal)),
    stores: greatest(part.map(({ stores }) => stores)),
  }
}

function quarterOf<Item>(items: readonly Item[], nth: number): Item[] {
  const size = Math.ceil(items.length / 4)
  return items.slice(nth * size, (nth + 1) * size)
}

function greatest(values: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = Object.keys(values.at(-1) ?? {})
  return Object.fromEntries(names.map((name) => [name, Math.max(...values.map((each) => each[name] ?? 0))]))
}

/** What is seen in one part of a soak, with the p99 from an answer until every view has it. */
export type Standing = Sample & { readonly lagMs: number }

/** What is not flat between two parts of a soak, in words; nothing if all is. */
export function growth(early: Standing, late: Standing): string[] {
  const { share, memoryMiB, files, walMiB, storeMiB, lagShare, lagMs } = TOLERANCE
  const grown: string[] = []
  for (const [role, mib] of Object.entries(late.memory)) {
    if (mib > (early.memory[role] ?? mib) * share + memoryMiB)
      grown.push(`the memory of ${role} grew to ${Math.round(mib)} MiB`)
  }
  for (const [store, mib] of Object.entries(late.stores)) {
    if (mib > (early.stores[store] ?? 0) * share + storeMiB)
      grown.push(`${store} grew to ${Math.round(mib)} MiB`)
  }
  if (late.files > early.files + files) grown.push(`open files grew to ${late.files}`)
  if (late.wal > early.wal * share + walMiB)
    grown.push(`write-ahead logs grew to ${Math.round(late.wal)} MiB`)
  if (late.lagMs > early.lagMs * lagShare + lagMs)
    grown.push(`lag grew to ${Math.round(late.lagMs)} ms (p99)`)
  return grown
}

function line(what: string, early: number, late: number): Row {
  return { of: { what }, is: { 'second quarter': early, 'last quarter': late } }
}
