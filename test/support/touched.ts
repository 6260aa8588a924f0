import { defineReactor, type ProjectionDefinition } from '../../src/kernel/projection.ts'
import { Moved, Noted } from './ledger-app.ts'

/** What an account was touched by: positions in the order in which they were applied. */
export interface Touched {
  readonly applied: readonly number[]
}

/** The idempotency key of the effect of a movement. */
export const effectOf = (position: number) => `touched:${position}:1`

/**
 * A view that hides nothing: which movements were applied to an account, in order. An effect for each movement
 * below zero that concerns one account alone.
 */
export function touched(fails: (account: string) => boolean): ProjectionDefinition<Touched> {
  return defineReactor({
    name: 'touched',
    events: [Moved, Noted],
    initial: (): Touched => ({ applied: [] }),
  }).on({
    moved: {
      key: ({ data }) => [...new Set([data.account, ...(data.to ? [data.to] : [])])],
      apply: ({ applied }, { position, data }, emit) => {
        if (fails(data.account)) throw new Error(`${data.account} is ill`)
        if (data.amount < 0 && data.to === undefined) {
          emit({ kind: 'publish', topic: 'touched', data: { account: data.account } })
        }
        return { applied: [...applied, position] }
      },
    },
  })
}
