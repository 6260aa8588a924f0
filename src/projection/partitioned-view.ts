import type { Position } from '../kernel/position.ts'
import type { FindOptions, Page, ViewReader } from '../kernel/query.ts'
import type { Freshness, ReadableView } from './contract.ts'
import { findPage, keyInTwoPartitions } from './find.ts'

/** What queries see of a view. */
export interface QueriedView extends ViewReader<unknown> {
  /** @param characters the most characters of JSON that the documents of the page may have; see {@link findPage} */
  find(options: FindOptions, characters?: number): Promise<Page<unknown>>
  /** The position of the view; what is read afterwards is at least as new. */
  position(): Promise<Position>
  /** How new the view is, and how many events it lacks. */
  freshness(): Promise<Freshness>
}

/** Joins the partitions of a view into one view. Its position is that of the partition that is furthest behind. */
export function wholeView(parts: readonly ReadableView[]): QueriedView {
  const [only] = parts
  if (only && parts.length === 1) return only
  return {
    position: async () => Math.min(...(await Promise.all(parts.map((part) => part.position())))),
    async freshness() {
      const each = await Promise.all(parts.map((part) => part.freshness()))
      return {
        position: Math.min(...each.map(({ position }) => position)),
        parked: each.reduce((sum, { parked }) => sum + parked, 0),
      }
    },
    async get(key) {
      const found = (await Promise.all(parts.map((part) => part.get(key)))).filter(
        (document) => document !== undefined,
      )
      if (found.length > 1) throw keyInTwoPartitions(key)
      return found[0]
    },
    find: (options, characters) => findPage(parts, options, characters),
  }
}
