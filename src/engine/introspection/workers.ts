import type { Hub } from '../hub.ts'
import type { Session } from '../session.ts'
import type { TriggerType } from '../triggers.ts'

/** A part of the engine that is listed among the workers. */
export interface BuiltinWorker {
  readonly name: string
  readonly description: string
  readonly functionPrefixes: readonly string[]
  readonly triggerTypes: readonly string[]
}

/** One row of `engine::workers::list`. */
export interface WorkerSummary {
  readonly name: string | null
  readonly description: string | null
  readonly version: string | null
  readonly id: string
  readonly runtime: string | null
  readonly os: string | null
  readonly status: string
  readonly function_count: number
  readonly connected_at_ms: number
  readonly active_invocations: number
  readonly isolation: string | null
  readonly ip_address: string | null
}

/** Tells which worker a function or trigger type belongs to, and describes the workers. */
export class WorkerDirectory {
  readonly #hub: Hub
  readonly #builtins: readonly BuiltinWorker[]
  readonly #startedAt: number
  readonly #version: string

  constructor(hub: Hub, builtins: readonly BuiltinWorker[], startedAt: number, version: string) {
    this.#hub = hub
    this.#builtins = builtins
    this.#startedAt = startedAt
    this.#version = version
  }

  /** The name of a function's worker. If the worker has no name, or there is no worker: the id up to its first `::`. */
  ownerOfFunction(id: string): string {
    const owner = this.#hub.functions.get(id)?.owner
    if (typeof owner === 'object') return owner.metadata?.name ?? firstSegment(id)
    if (owner === undefined) return firstSegment(id)
    return (
      this.#builtins.find((each) => each.functionPrefixes.some((prefix) => id.startsWith(prefix)))?.name ??
      firstSegment(id)
    )
  }

  ownerOfTriggerType(type: TriggerType): string {
    if (type.owner !== undefined) return type.owner.metadata?.name ?? firstSegment(type.id)
    return this.#builtins.find((each) => each.triggerTypes.includes(type.id))?.name ?? firstSegment(type.id)
  }

  /** Workers that have introduced themselves with their process id, and the parts of the engine, sorted by name. */
  list(): WorkerSummary[] {
    const sessions = [...this.#hub.sessions.values()].filter((session) => session.metadata?.pid !== undefined)
    const rows = [
      ...sessions.map((session) => this.describe(session)),
      ...this.#builtins.map((each) => this.describe(each)),
    ]
    return rows.sort((a, b) => compare(a.name ?? a.id, b.name ?? b.id) || compare(a.id, b.id))
  }

  find(name: string): Session | BuiltinWorker | undefined {
    return (
      this.#builtins.find((each) => each.name === name) ??
      [...this.#hub.sessions.values()].find((session) => session.metadata?.name === name)
    )
  }

  describe(worker: Session | BuiltinWorker): WorkerSummary {
    const function_count = this.functionIdsOf(worker).length
    if (!('metadata' in worker)) {
      return {
        name: worker.name,
        description: worker.description,
        version: this.#version,
        id: worker.name,
        runtime: 'engine',
        os: null,
        status: 'available',
        function_count,
        connected_at_ms: this.#startedAt,
        active_invocations: 0,
        isolation: 'in-process',
        ip_address: null,
      }
    }
    const { metadata } = worker
    return {
      name: metadata?.name ?? null,
      description: metadata?.description ?? null,
      version: metadata?.version ?? null,
      id: worker.id,
      runtime: metadata?.runtime ?? null,
      os: metadata?.os ?? null,
      status: 'connected',
      function_count,
      connected_at_ms: worker.connectedAt,
      active_invocations: worker.calling.size + worker.executing.size,
      isolation: metadata?.isolation ?? null,
      ip_address: worker.ipAddress,
    }
  }

  /** The ids a worker has registered, whether it still owns them or not. */
  functionIdsOf(worker: Session | BuiltinWorker): string[] {
    if ('metadata' in worker) return [...worker.functionIds]
    return [...this.#hub.functions.values()]
      .filter(({ id, owner }) => typeof owner === 'function' && this.ownerOfFunction(id) === worker.name)
      .map(({ id }) => id)
  }
}

/** Orders by code unit, so that the order does not depend on the locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function firstSegment(id: string): string {
  return id.split('::', 1)[0] ?? id
}
