import { expect, onTestFinished } from 'vitest'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type {
  NamedEffect,
  ParkedEvent,
  ReadableView,
  ViewChange,
  ViewStore,
} from '../../src/projection/contract.ts'
import { balances } from '../support/ledger-app.ts'

/** One generation of a view, of its own to each call; nobody has written it yet. */
export type NewView = () => {
  /** Opens it for its writer; also while it is open, as another process does. */
  write(projection: ProjectionDefinition): Promise<ViewStore>
  /** Opens it for reading; also while it is open, and before anybody has written it. */
  read(projection: ProjectionDefinition): Promise<ReadableView>
}

/** A view of balances whose writers and readers are closed when the test ends. */
export function viewOf(newView: NewView) {
  const view = newView()
  return {
    async write(projection: ProjectionDefinition = balances()) {
      const store = await view.write(projection)
      onTestFinished(() => store.close())
      return store
    },
    async read(projection: ProjectionDefinition = balances()) {
      const reader = await view.read(projection)
      onTestFinished(() => reader.close())
      return reader
    },
  }
}

/** A change of nothing, but for what is given. */
export function change(expectedRevision: number, more: Partial<ViewChange> = {}): ViewChange {
  return { expectedRevision, documents: [], parked: [], settled: [], effects: [], ...more }
}

/** Commits a change on top of what there is. */
export async function put(store: ViewStore, more: Partial<ViewChange>): Promise<void> {
  const { revision } = await store.checkpoint()
  expect(await store.commit(change(revision, more))).toEqual({ kind: 'committed', revision: revision + 1 })
}

/** A checkpoint, every event up to it being one of the view. */
export function at(position: number, processed = position) {
  return { position, processed, digest: String(position).padStart(64, 'd') }
}

export function parkedEvent(position: number, more: Partial<ParkedEvent> = {}): ParkedEvent {
  return {
    position,
    sequence: 'ada',
    type: 'moved',
    status: 'retrying',
    attempts: 1,
    dueAt: 1_000,
    failures: [{ at: '2026-01-01T00:00:00.000Z', message: 'no' }],
    parkedAt: '2026-01-01T00:00:00.000Z',
    ...more,
  }
}

/** What waits behind a parked event of its sequence. */
export function waiting(position: number, sequence = 'ada'): ParkedEvent {
  return parkedEvent(position, { sequence, status: 'waiting', attempts: 0, dueAt: 0, failures: [] })
}

export function effect(position: number, n = 1): NamedEffect {
  const data = { account: 'ada', balance: -position }
  return {
    idempotencyKey: `balances:${position}:${n}`,
    effect: { kind: 'publish', topic: 'overdrawn', data },
  }
}

export const keysOf = (effects: readonly { idempotencyKey: string }[]) =>
  effects.map(({ idempotencyKey }) => idempotencyKey)
