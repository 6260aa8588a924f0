import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { defineEvent, EventCatalog } from '../../src/kernel/event.ts'
import { defineReactor, type ProjectionDefinition } from '../../src/kernel/projection.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { Projector, type ProjectorOptions } from '../../src/projection/projector.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { tempFolder } from './temp-folder.ts'

/** Money moved in an account. */
export const Moved = defineEvent({
  type: 'moved',
  schema: z.object({ account: z.string(), amount: z.int(), to: z.string().optional() }),
})

export const Noted = defineEvent({ type: 'noted', schema: z.object({ text: z.string() }) })

export interface Balance {
  readonly account: string
  readonly balance: number
  readonly moves: number
}

/** Makes the handler fail while it says so. */
export interface Poison {
  fails(account: string, amount: number): boolean
}

/** A view that can be poisoned: balances by account; an effect for each balance below zero. */
export function balances(poison: Poison = { fails: () => false }): ProjectionDefinition<Balance> {
  return defineReactor({
    name: 'balances',
    events: [Moved, Noted],
    initial: (account: string): Balance => ({ account, balance: 0, moves: 0 }),
    indexes: ['balance', 'moves'],
  }).on({
    moved: {
      key: ({ data }) => [data.account, ...(data.to ? [data.to] : [])],
      apply: (document, { data }, emit) => {
        if (poison.fails(document.account, data.amount)) throw new Error(`cannot apply ${data.amount}`)
        const change = document.account === data.account ? data.amount : -data.amount
        const balance = document.balance + change
        if (balance < 0)
          emit({ kind: 'publish', topic: 'overdrawn', data: { account: document.account, balance } })
        return { ...document, balance, moves: document.moves + 1 }
      },
    },
  })
}

export const ledgerCatalog = new EventCatalog([Moved, Noted])

/** A log, a view and projectors on them, in a folder of their own. */
export function ledger(projection: ProjectionDefinition = balances()) {
  const folder = tempFolder()
  const log = openSqliteEventLog({ path: join(folder, 'events.db') })
  const viewPath = join(folder, 'balances.1.db')
  const views: ViewStore[] = []
  const clock = { now: 1_700_000_000_000 }
  onTestFinished(async () => {
    await log.close()
    for (const view of views) await view.close()
  })

  const openView = () => {
    const view = openSqliteView(viewPath, projection)
    views.push(view)
    return view
  }
  const view = openView()

  return {
    log,
    view,
    viewPath,
    clock,
    openView,
    projector: (overrides: Partial<ProjectorOptions> = {}) =>
      new Projector({
        projection,
        catalog: ledgerCatalog,
        log,
        view,
        policy: { maxAttempts: 3, baseMs: 100, capMs: 1_000 },
        batchSize: 100,
        documentCacheSize: 100,
        now: () => clock.now,
        random: () => 0.5,
        ...overrides,
      }),
    /** Appends one movement to the stream of its account. */
    async move(account: string, amount: number, to?: string) {
      const history = await log.history(account, { limit: 1 })
      await log.append({
        stream: account,
        expectedVersion: history[0]?.version ?? 0,
        events: [{ type: 'moved', schemaVersion: 1, data: { account, amount, to } }],
        metadata: { commandId: 'c', correlationId: 'c' },
      })
    },
    /** Appends an event as it is, parseable or not. */
    async appendRaw(stream: string, expectedVersion: number, type: string, data: unknown, schemaVersion = 1) {
      await log.append({
        stream,
        expectedVersion,
        events: [{ type, schemaVersion, data }],
        metadata: { commandId: 'c', correlationId: 'c' },
      })
    },
    async document(account: string) {
      return (await view.load([account])).get(account)
    },
  }
}

/** Steps until nothing is left. */
export async function toHead(projector: Projector): Promise<void> {
  while ((await projector.step()) !== 'at-head');
}
