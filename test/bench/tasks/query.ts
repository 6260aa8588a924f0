import { join } from 'node:path'
import inventory from '../../../src/inventory/app.ts'
import { itemStream } from '../../../src/inventory/item.ts'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { openSqliteViewReader } from '../../../src/projection/sqlite/view-reader.ts'
import { buildView } from '../lab/build-view.ts'
import { cpuSince } from '../lab/cpu.ts'
import { fillLog } from '../lab/fill-log.ts'
import { serveTask } from '../lab/task.ts'

export interface QueryInput {
  readonly folder: string
  readonly events: number
  /** Items, each a stream and a document. */
  readonly items: number
  /** Queries of each kind. */
  readonly queries: number
}

/** CPU time of one query in microseconds, by kind. */
export type QueryOutput = Readonly<Record<string, number>>

const APP = new URL('../../../src/inventory/app.ts', import.meta.url)
const PAGE = 50

/** What the queries of the inventory ask of its list and of its log, one after the other. */
serveTask(async ({ folder, events, items, queries }: QueryInput): Promise<QueryOutput> => {
  const [path, viewPath] = [join(folder, 'events.db'), join(folder, 'inventory-list.db')]
  fillLog({ path, events, items })
  const order = {
    app: APP,
    projection: 'inventory-list',
    log: path,
    view: viewPath,
    cachedDocuments: 250_000,
  }
  await buildView(order)
  const projection = inventory.projections.get('inventory-list')
  if (!projection) throw new Error('The inventory has no list.')
  const view = openSqliteViewReader(viewPath, projection)
  const log = openSqliteEventLog({ path })
  const skuOf = (n: number) => String((n * 7_919) % items)
  // Pages along the whole list, as somebody finds them who turns them one by one.
  const cursors: (string | undefined)[] = [undefined]
  for (let turned = 0; turned < 100; turned += 1) {
    const { next } = await view.find({
      by: 'revenueCents',
      limit: Math.max(PAGE, Math.ceil(items / 100)),
      cursor: cursors.at(-1),
    })
    if (next === undefined) break
    cursors.push(next)
  }
  const kinds: Record<string, (n: number) => Promise<unknown>> = {
    'one document': (n) => view.get(skuOf(n)),
    'first page': () => view.find({ limit: PAGE }),
    'page of a category': () => view.find({ by: 'category', equals: 'bench', limit: PAGE }),
    'page of the best sold': () => view.find({ by: 'unitsSold', order: 'descending', limit: PAGE }),
    'page somewhere behind a cursor': (n) =>
      view.find({ by: 'revenueCents', limit: PAGE, cursor: cursors[n % cursors.length] }),
    'last events of an item': (n) => log.history(itemStream(skuOf(n)), { limit: 10 }),
  }
  const taken: Record<string, number> = {}
  for (const [kind, query] of Object.entries(kinds)) {
    for (let n = 0; n < queries / 10; n += 1) await query(n)
    const cpu = cpuSince()
    for (let n = 0; n < queries; n += 1) await query(n)
    taken[kind] = cpu().main / queries
  }
  await view.close()
  await log.close()
  return taken
})
