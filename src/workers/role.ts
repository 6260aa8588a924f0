import type { IIIClient } from 'iii-sdk'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { App } from '../kernel/app.ts'
import type { MetDamage } from '../operator/contract.ts'
import type { CallsInFlight } from './link/calls-in-flight.ts'
import type { Metrics } from './process/metrics.ts'
import type { Tracing } from './process/tracing.ts'

/** What a worker process can be; several may share one process and one connection. */
export const ROLES = ['queue', 'commands', 'projections', 'queries', 'operator'] as const

export type RoleName = (typeof ROLES)[number]

/** What a role gets from the process that it runs in. */
export interface RoleContext {
  readonly app: App
  /** Identifies the code of the app; see code-of-app.ts. */
  readonly code: string
  readonly config: Config
  /** The process's one connection to the engine. */
  readonly iii: IIIClient
  /** The calls of this process over that connection that are not answered yet. */
  readonly inFlight: CallsInFlight
  readonly log: Logger
  /** What this process counts. */
  readonly metrics: Metrics
  readonly tracing: Tracing
  /** Notes the state of this role, and which units it keeps up to date. */
  stands(state: 'standing by' | 'at work', owns?: readonly string[]): void
  /** Notes the damage that this role has met in its store, and whether it goes on in spite of it. */
  met(damage: Omit<MetDamage, 'at' | 'agoMs'>): void
  /** Reports that a role cannot go on: the process stops and ends with this error, so that it is started again. */
  fail(error: unknown): void
  /** Aborted when the process is told to stop. */
  readonly stopping: AbortSignal
}

/** A role at work. */
export interface Role {
  /** Takes nothing new, finishes what is under way within the configured deadline, closes its stores. */
  stop(): Promise<void>
}

/** Starts a role; resolves when it is ready to serve (a standby resolves when it stands by). */
export type StartRole = (context: RoleContext) => Promise<Role>
