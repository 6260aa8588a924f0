/**
 * What the compiler must refuse. Nothing here runs: `tsc` fails as soon as one of the errors below disappears,
 * or as soon as the right way to write it does not compile any more.
 */
import {
  defineApp,
  defineDecider,
  defineEvent,
  defineLogQuery,
  defineProjection,
  defineQuery,
  defineReactor,
  type EventOf,
  type RecordedEventOf,
} from 'iii-durable-cqrs'
import { given, project } from 'iii-durable-cqrs/testing'
import { z } from 'zod'

const Opened = defineEvent({ type: 'opened', schema: z.object({ account: z.string() }) })
const Paid = defineEvent({ type: 'paid', schema: z.object({ account: z.string(), cents: z.int() }) })
const events = [Opened, Paid] as const

interface State {
  readonly open: boolean
}

const builder = () => defineDecider({ name: 'account', events, initialState: (): State => ({ open: false }) })
const folds = {
  opened: () => ({ open: true }),
  paid: (state: State) => state,
}
const pay = {
  schema: z.strictObject({ account: z.string(), cents: z.int() }),
  stream: ({ account }: { account: string }) => account,
}

const account = builder()
  .evolve(folds)
  .commands({ pay: { ...pay, decide: (command) => [{ type: 'paid', data: command }] } })

export function decidersAreChecked(): void {
  builder().evolve({
    ...folds,
    // @ts-expect-error a fold of an event that the decider does not list
    closed: (state: State) => state,
  })

  // @ts-expect-error an event without a fold
  builder().evolve({ opened: folds.opened })

  builder().evolve({
    opened: folds.opened,
    // @ts-expect-error a field that the event does not have
    paid: (state, { data }) => ({ ...state, open: data.amount > 0 }),
  })

  builder()
    .evolve(folds)
    .commands({
      // @ts-expect-error the name of an event that the decider does not list
      pay: { ...pay, decide: (command) => [{ type: 'payed', data: command }] },
    })

  builder()
    .evolve(folds)
    .commands({
      // @ts-expect-error the payload of another event
      pay: { ...pay, decide: ({ account }) => [{ type: 'paid', data: { account } }] },
    })

  builder()
    .evolve(folds)
    .commands({
      pay: {
        ...pay,
        // @ts-expect-error a field that the command does not have
        decide: (command) => [{ type: 'paid', data: { account: command.owner, cents: 1 } }],
      },
    })

  builder()
    .evolve(folds)
    .commands({
      pay: {
        ...pay,
        // @ts-expect-error a field that the state does not have
        decide: (command, state) => (state.balance > 0 ? [{ type: 'paid', data: command }] : []),
      },
    })
}

export function specificationsAreChecked(): void {
  given(account, { type: 'opened', data: { account: 'ada' } })
    .when('pay', { account: 'ada', cents: 1 })
    .thenEvents({ type: 'paid', data: { account: 'ada', cents: 1 } })

  // @ts-expect-error a command that the decider does not have
  given(account).when('withdraw', { account: 'ada', cents: 1 })

  // @ts-expect-error an input that does not fit the command
  given(account).when('pay', { account: 'ada' })

  // @ts-expect-error a past event that the decider does not list
  given(account, { type: 'closed', data: { account: 'ada' } })

  given(account)
    .when('pay', { account: 'ada', cents: 1 })
    // @ts-expect-error an expected payload of another shape
    .thenEvents({ type: 'paid', data: { account: 'ada', cents: '1' } })
}

const view = { name: 'totals', events, initial: (account: string) => ({ account, cents: 0, moves: 0 }) }
const key = ({ data }: { data: { account: string } }) => data.account

const totals = defineProjection({ ...view, indexes: ['cents'] }).on({
  paid: { key, apply: (total, { data }) => ({ ...total, cents: total.cents + data.cents }) },
})

export function projectionsAreChecked(): void {
  defineProjection({
    ...view,
    // @ts-expect-error an index on a field that the document does not have
    indexes: ['amount'],
  })

  defineProjection({ ...view, sequence: ({ data }) => data.account })
  // @ts-expect-error a field that the event does not have
  defineReactor({ ...view, sequence: ({ data }) => data.amounts })

  defineProjection(view).on({
    // @ts-expect-error an event that the projection does not list
    closed: { key, apply: (total) => total },
  })

  defineProjection(view).on({
    // @ts-expect-error a field that the event does not have
    paid: { key, apply: (total, { data }) => ({ ...total, cents: data.amount }) },
  })

  defineProjection(view).on({
    // @ts-expect-error a document of another shape
    paid: { key, apply: (total) => ({ ...total, cents: 'many' }) },
  })

  defineProjection(view).on({
    // @ts-expect-error a projection emits nothing; a reactor does
    paid: { key, apply: (total, _event, _emit) => total },
  })

  defineReactor(view).on({
    paid: {
      key,
      apply: (total, { data }, emit) => {
        emit({ kind: 'publish', topic: 'paid', data })
        // @ts-expect-error a kind of effect that does not exist
        emit({ kind: 'mail', to: data.account })
        return total
      },
    },
  })
}

export function projectionSpecificationsAreChecked(): void {
  const list = defineProjection({ name: 'list', events, initial: (_key: string) => ({ cents: 0 }) }).on({
    paid: { key: ({ data }) => data.account, apply: (_, { data }) => ({ cents: data.cents }) },
  })
  const paid = { type: 'paid', data: { account: 'ada', cents: 1 } } as const
  project(list, paid, { ...paid, stream: 'ada', recordedAt: '2026-01-01T00:00:00.000Z' }).get('ada')?.cents
  project(list, { type: 'paid', schemaVersion: 1, data: { amount: 1 } })

  // @ts-expect-error a field that the document does not have
  project(list, paid).get('ada')?.amount

  // @ts-expect-error an event that the projection does not list
  project(list, { type: 'closed', data: { account: 'ada' } })

  // @ts-expect-error the payload of another event, without an older schemaVersion
  project(list, { type: 'paid', data: { account: 'ada' } })
}

export function queriesAreChecked(): void {
  const query = { name: 'find', reads: totals, input: z.strictObject({ least: z.int() }) }

  defineQuery({ ...query, run: (view, { least }) => view.find({ by: 'cents', from: least, limit: 10 }) })

  // @ts-expect-error a field of the document that has no index
  defineQuery({ ...query, run: (view) => view.find({ by: 'moves', limit: 10 }) })

  // @ts-expect-error a field that the document does not have
  defineQuery({ ...query, run: (view) => view.find({ by: 'amount', limit: 10 }) })

  // @ts-expect-error a field that the input does not have
  defineQuery({ ...query, run: (view, { most }) => view.find({ by: 'cents', to: most, limit: 10 }) })

  defineQuery({
    ...query,
    // @ts-expect-error a field that the document does not have
    run: async (view) => (await view.get('ada'))?.amount,
  })

  const unindexed = defineProjection(view).on({})
  // @ts-expect-error a projection without indexes is found by key only
  defineQuery({ ...query, reads: unindexed, run: (view) => view.find({ by: 'cents', limit: 10 }) })

  const input = z.strictObject({ account: z.string() })
  // @ts-expect-error the log has a history and no documents
  defineLogQuery({ name: 'history', input, run: (log, { account }) => log.get(account) })
}

export function appsAreChecked(): void {
  defineApp({ name: 'bank', deciders: [account], projections: [totals] })

  // @ts-expect-error a projection is no decider
  defineApp({ name: 'bank', deciders: [totals] })
}

export function eventsAreChecked(): void {
  const paid: EventOf<typeof Paid> = { type: 'paid', data: { account: 'ada', cents: 1 } }
  // @ts-expect-error the name of another event
  const named: EventOf<typeof Paid> = { type: 'opened', data: { account: 'ada', cents: 1 } }
  const cents = (event: RecordedEventOf<typeof Paid>): number => event.data.cents
  // @ts-expect-error an event as domain code makes it has no position yet
  cents(paid)
  void named
}
