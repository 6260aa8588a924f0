import { join } from 'node:path'
import { viewPath } from '../../src/config/paths.ts'
import type { ControlStore } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { ViewReaders } from '../../src/generations/view-readers.ts'
import type { App } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { prune } from '../../src/operator/prune.ts'
import {
  cancelRebuild,
  pauseProjection,
  resumeProjection,
  rollback,
  startRebuild,
  startVerify,
} from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import type { Freshness } from '../../src/projection/contract.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { Gate } from './gate.ts'
import type { SharedSite } from './gated-worker.ts'

/** What an operator can ask for, by the name of the command. */
export type Wish =
  | 'rebuild'
  | 'rebuild --force'
  | 'rebuild --require-parity'
  | 'rebuild --require-parity --force'
  | 'rebuild --until'
  | 'rebuild --until --force'
  | 'verify'
  | 'rollback'
  | 'rollback --force'
  | 'cancel'
  | 'prune'
  | 'prune --keep-previous'
  | 'pause'
  | 'resume'

/** An operator's process, each call of which waits at a gate. */
export class GatedOperator {
  readonly gate = new Gate()
  readonly #store: ControlStore
  readonly #system: System

  constructor({ data, log }: SharedSite, projection: ProjectionDefinition) {
    this.#store = openSqliteControl({ path: join(data, 'control.db') })
    this.#system = {
      app: { projections: new Map([[projection.name, projection]]) } as unknown as App,
      log: this.gate.guard(log),
      control: this.gate.guard(this.#store),
    } as unknown as System
  }

  ask(what: Wish, projection: string, until: number): Promise<unknown> {
    const system = this.#system
    const force = what.endsWith('--force')
    const by = { by: 'eve' } as never
    switch (what) {
      case 'rebuild':
      case 'rebuild --force':
        return startRebuild(system, { projection, force }, by)
      case 'rebuild --require-parity':
      case 'rebuild --require-parity --force':
        return startRebuild(system, { projection, force, requireParity: true }, by)
      case 'rebuild --until':
      case 'rebuild --until --force':
        return startRebuild(system, { projection, force, until }, by)
      case 'verify':
        return startVerify(system, { projection }, by)
      case 'rollback':
      case 'rollback --force':
        return rollback(system, { projection, force })
      case 'cancel':
        return cancelRebuild(system, { projection })
      case 'prune':
        return prune(system, { projection })
      case 'prune --keep-previous':
        return prune(system, { projection, keepPrevious: true })
      case 'pause':
        return pauseProjection(system, { projection })
      case 'resume':
        return resumeProjection(system, { projection })
    }
  }

  end(): void {
    this.gate.end()
    void this.#store.close()
  }
}

/** What one query has found. */
export interface Answer {
  readonly generation: number
  readonly freshness: Freshness
  readonly documents: readonly unknown[]
}

/** A queries process, each call of which waits at a gate. */
export class GatedReader {
  readonly gate = new Gate()
  readonly #store: ControlStore
  readonly #readers: ViewReaders
  readonly #projection: ProjectionDefinition

  constructor({ data }: SharedSite, projection: ProjectionDefinition) {
    this.#projection = projection
    this.#store = openSqliteControl({ path: join(data, 'control.db') })
    this.#readers = new ViewReaders({
      app: { projections: new Map([[projection.name, projection]]) } as unknown as App,
      control: this.gate.guard(this.#store),
      open: ({ generation, partition }) =>
        this.gate.guard(
          openSqliteViewReader(viewPath(data, projection.name, { generation, partition }), projection),
        ),
    })
  }

  /** One query: how new the view is, then some documents. */
  query(keys: readonly string[]): Promise<Answer> {
    return this.#readers.use(this.#projection.name, async ({ view, generation: { generation } }) => {
      const freshness = await view.freshness()
      const documents: unknown[] = []
      for (const key of keys) documents.push(await view.get(key))
      return { generation, freshness, documents }
    })
  }

  end(): void {
    this.gate.end()
    void this.#store.close()
  }
}
