import { join } from 'node:path'
import { fillLog } from './lab/fill-log.ts'
import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import { defineScenario, type Row } from './scenario.ts'
import type { CatchUpInput, CatchUpOutput } from './tasks/catch-up.ts'

const CATCH_UP = new URL('./tasks/catch-up.ts', import.meta.url)
const VIEWS = [
  ['inventory-list'],
  ['inventory-stats'],
  ['inventory-list', 'inventory-stats', 'inventory-alert'],
]

export const projection = defineScenario({
  name: 'projection',
  title: 'views that catch up with a log from its first event, as a projections worker does it',
  durable:
    'documents, checkpoint and digest in one transaction; views are not synced, they can be made again',
  options: {
    events: { help: 'in the log', default: 200_000, tiny: 3_000 },
    items: { help: 'documents of the list', default: 10_000, tiny: 100 },
    batch: { help: 'events in one transaction', default: 1_000 },
  },
  async run({ options, rounds, folder, profile, say }) {
    const { events, items, batch } = options
    const path = join(folder, 'events.db')
    fillLog({ path, events, items })
    const rows: Row[] = []
    for (const projections of VIEWS) {
      const is = await repeated(rounds, async (round) => {
        say(`${projections.join(', ')}, round ${round + 1}`)
        const { perSecond, cpu } = await inFolder(folder, (at) =>
          runTask<CatchUpInput, CatchUpOutput>(
            CATCH_UP,
            { events: path, folder: at, projections, batchSize: batch },
            { profile },
          ),
        )
        return { 'events/s': perSecond, 'CPU µs of one event': cpu }
      })
      rows.push({ of: { views: projections.join(', ') }, is })
    }
    return rows
  },
})
