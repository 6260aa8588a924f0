import { type HealthLimits, readiness } from '../../operator/health.ts'
import type { System } from '../../operator/system.ts'
import { isHttpRequest, success } from '../link/http.ts'
import type { OfferedFunction } from '../link/offer.ts'
import type { OpsAccess } from './ops-access.ts'
import { bearerToken, secured } from './ops-http.ts'
import { type ProcessMetrics, renderMetrics } from './ops-metrics.ts'

/** What {@link pages} needs. */
export interface PagesOptions {
  readonly system: System
  /** The same system for `/health/ready`, which waits for a silent worker for only `limits.readyAnswerMs`. */
  readonly probed: System
  readonly access: OpsAccess
  readonly limits: HealthLimits
  /** What each worker process has counted. */
  metrics(): Promise<readonly ProcessMetrics[]>
}

/**
 * Pages for machines: `/metrics`, for which the read-only token is enough, and `/health/live` and `/health/ready` for
 * load balancers, which need no token.
 */
export function pages({ system, probed, access, limits, metrics }: PagesOptions): OfferedFunction[] {
  return [
    {
      id: 'cqrs::metrics',
      description: 'All metrics, in the format of Prometheus; over HTTP only.',
      http: { method: 'GET', path: '/metrics' },
      handle: (payload) =>
        secured(async () => {
          access.check(isHttpRequest(payload) ? bearerToken(payload) : undefined, 'read')
          const text = await renderMetrics(system, metrics())
          return success(text, 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' })
        }),
    },
    {
      id: 'cqrs::health-live',
      description: 'Answers while an engine and an operator worker run.',
      http: { method: 'GET', path: '/health/live' },
      handle: () => secured(async () => success({ status: 'live' })),
    },
    {
      id: 'cqrs::health-ready',
      description: 'Whether commands, queries and projections work, and what does not.',
      http: { method: 'GET', path: '/health/ready' },
      handle: () =>
        secured(async () => {
          const answer = await readiness(probed, limits)
          return success(answer, answer.status === 'not ready' ? 503 : 200)
        }),
    },
  ]
}
