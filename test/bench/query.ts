import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import { defineScenario, type Row } from './scenario.ts'
import type { QueryInput, QueryOutput } from './tasks/query.ts'

const QUERY = new URL('./tasks/query.ts', import.meta.url)

export const query = defineScenario({
  name: 'query',
  title: 'CPU time of queries, in microseconds, as the log and as the view get larger',
  durable: 'nothing: queries write nothing',
  options: {
    logs: { help: 'events in the log, of 1,000 items', default: [10_000, 100_000, 1_000_000], tiny: [300] },
    documents: { help: 'items, each with 10 events', default: [1_000, 10_000, 100_000], tiny: [30] },
    streams: { help: 'events of one item that is alone in the log', default: [100_000], tiny: [50] },
    queries: { help: 'of each kind in a round', default: 2_000, tiny: 10 },
  },
  async run({ options, rounds, folder, profile, say }) {
    const rows: Row[] = []
    const measure = async (events: number, items: number) => {
      const is = await repeated(rounds, async (round) => {
        say(`${events} events, ${items} documents, round ${round + 1}`)
        const input = { events, items, queries: options.queries }
        return inFolder(folder, (at) =>
          runTask<QueryInput, QueryOutput>(QUERY, { folder: at, ...input }, { profile }),
        )
      })
      rows.push({ of: { events, documents: items }, is })
    }
    for (const events of options.logs) await measure(events, Math.min(1_000, Math.floor(events / 10)))
    for (const events of options.streams) await measure(events, 1)
    for (const items of options.documents) await measure(items * 10, items)
    return rows
  },
})
