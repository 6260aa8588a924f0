import { z } from 'zod'
import { defineEvent, EventCatalog } from '../../src/kernel/event.ts'
import { defineReactor, type ProjectionDefinition } from '../../src/kernel/projection.ts'

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
