import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { MetDamage, RoleStanding, WorkerProcess } from '../../operator/contract.ts'
import type { OfferedFunction } from '../link/offer.ts'
import type { RoleName } from '../role.ts'
import type { Metrics } from './metrics.ts'

/**
 * How the functions begin with which the worker processes of a system report on themselves; an id of the process's own
 * follows.
 */
export function processFunctions(system: string): string {
  return `cqrs::process::${system}::`
}

/** Keeps what one worker process reports about itself, and offers it to the operator's worker. */
export class ProcessReport {
  readonly #roles = new Map<RoleName, RoleStanding>()
  readonly #damages = new Map<RoleName, Omit<MetDamage, 'agoMs'> & { readonly metAt: number }>()
  readonly #startedAt: string
  readonly #now: () => Date
  readonly #monotonic: () => number

  /**
   * @param now the wall clock, for what is shown
   * @param monotonic a clock that never jumps, in milliseconds
   */
  constructor(now: () => Date, monotonic: () => number = () => performance.now()) {
    this.#now = now
    this.#monotonic = monotonic
    this.#startedAt = now().toISOString()
  }

  /** Notes the state that a role has from now on. */
  stands(role: RoleName, state: RoleStanding['state'], owns: readonly string[] = []): void {
    this.#roles.set(role, { role, state, since: this.#now().toISOString(), owns })
  }

  /** Notes the latest damage that a role has met. */
  met(role: RoleName, damage: Omit<MetDamage, 'at' | 'agoMs'>): void {
    this.#damages.set(role, { ...damage, at: this.#now().toISOString(), metAt: this.#monotonic() })
  }

  get self(): WorkerProcess {
    return {
      pid: process.pid,
      host: hostname(),
      startedAt: this.#startedAt,
      node: process.version,
      memoryBytes: process.memoryUsage.rss(),
      roles: [...this.#roles].map(([role, standing]) => {
        const met = this.#damages.get(role)
        if (met === undefined) return standing
        const { metAt, ...damage } = met
        return { ...standing, damage: { ...damage, agoMs: Math.round(this.#monotonic() - metAt) } }
      }),
    }
  }

  /** The function that answers the operator's worker of a system with the report, and with the metrics if asked for them. */
  offered(metrics: Metrics, system: string): OfferedFunction {
    return {
      id: `${processFunctions(system)}${randomUUID()}`,
      description: 'What a worker process of iii-durable-cqrs says of itself.',
      handle: async (payload) => {
        const { metrics: isAsked } = (payload ?? {}) as { metrics?: unknown }
        if (isAsked !== true) return { self: this.self }
        return { self: this.self, metrics: await metrics.registry.getMetricsAsJSON() }
      },
    }
  }
}
