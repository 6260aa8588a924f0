import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import { defineScenario, type Row } from './scenario.ts'
import type { GrowthInput, GrowthOutput } from './tasks/growth.ts'

const GROWTH = new URL('./tasks/growth.ts', import.meta.url)

export const growth = defineScenario({
  name: 'growth',
  title:
    'one command after the other on streams that are not in memory, as the log and as one stream gets longer',
  durable: 'the event: fsync before the answer',
  options: {
    logs: {
      help: 'events in the log, in streams of 10',
      default: [1_000, 10_000, 100_000, 1_000_000],
      tiny: [200],
    },
    streams: {
      help: 'events in the one stream of the log',
      default: [10, 100, 1_000, 10_000, 100_000],
      tiny: [150],
    },
    commands: { help: 'measured in each round', default: 100, tiny: 5 },
  },
  async run({ options, rounds, folder, profile, say }) {
    const rows: Row[] = []
    const measure = async (of: Row['of'], input: Omit<GrowthInput, 'folder' | 'commands'>) => {
      const is = await repeated(rounds, async (round) => {
        say(`${Object.values(of).join(', ')}, round ${round + 1}`)
        const { p50, p99, cpu } = await inFolder(folder, (at) =>
          runTask<GrowthInput, GrowthOutput>(
            GROWTH,
            { folder: at, commands: affordable(options.commands, input), ...input },
            { profile },
          ),
        )
        return { 'p50 ms': p50, 'p99 ms': p99, 'CPU µs of a command': cpu }
      })
      rows.push({ of, is })
    }
    for (const events of options.logs) {
      const of = { log: `${events} events`, stream: '10 events', snapshots: 'yes' }
      await measure(of, { events, streams: Math.max(1, Math.floor(events / 10)), snapshots: true })
    }
    for (const events of options.streams) {
      for (const snapshots of [false, true]) {
        const of = {
          log: `${events} events`,
          stream: `${events} events`,
          snapshots: snapshots ? 'yes' : 'no',
        }
        await measure(of, { events, streams: 1, snapshots })
      }
    }
    return rows
  },
})

/** A fold of a long stream for each command takes long; some of them tell as much. */
function affordable(commands: number, input: Pick<GrowthInput, 'events' | 'streams' | 'snapshots'>): number {
  const { events, streams, snapshots } = input
  return snapshots ? commands : Math.max(3, Math.min(commands, Math.floor((100_000 * streams) / events)))
}
