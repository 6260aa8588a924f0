import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import { defineScenario, type Row } from './scenario.ts'
import type { AppendInput, AppendOutput } from './tasks/append.ts'
import type { PlainInput, PlainOutput } from './tasks/plain-inserts.ts'

const APPEND = new URL('./tasks/append.ts', import.meta.url)
const PLAIN = new URL('./tasks/plain-inserts.ts', import.meta.url)

export const append = defineScenario({
  name: 'append',
  title:
    'appends of one event, directly on the log, next to plain inserts of the same rows in groups of the same size',
  durable: 'the event, its stream’s version: fsync before the answer; the plain inserts likewise',
  options: {
    callers: { help: 'appends under way at the same time', default: [1, 64, 1_024], tiny: [1, 16] },
    seconds: { help: 'of one round', default: 3, tiny: 0.2 },
    streams: { help: 'streams that the events are spread over', default: 10_000, tiny: 100 },
  },
  async run({ options, rounds, folder, profile, say }) {
    const { seconds, streams } = options
    const rows: Row[] = []
    for (const callers of options.callers) {
      const is = await repeated(rounds, async (round) => {
        say(`${callers} callers, round ${round + 1}`)
        const own = await inFolder(folder, (at) =>
          runTask<AppendInput, AppendOutput>(APPEND, { folder: at, callers, seconds, streams }, { profile }),
        )
        const plain = await inFolder(folder, (at) =>
          runTask<PlainInput, PlainOutput>(PLAIN, { folder: at, group: callers, seconds, streams }),
        )
        return {
          'appends/s': own.perSecond,
          'p50 ms': own.latency.p50,
          'p99 ms': own.latency.p99,
          'limit/s': plain.perSecond,
          'of limit': own.perSecond / plain.perSecond,
          'CPU µs: callers': own.cpu.main,
          'writer thread': own.cpu.process - own.cpu.main,
          'limit’s thread': plain.cpu,
        }
      })
      rows.push({ of: { callers }, is })
    }
    return rows
  },
})
