import { z } from 'zod'
import { handledTypes } from '../kernel/projection.ts'
import { findUnit } from '../kernel/unit.ts'
import { AUDIT_START, auditStep } from '../projection/audit.ts'
import type { AuditAnswer } from './contract.ts'
import { parseRequest } from './request.ts'
import type { System } from './system.ts'

/** Positions audited in one call: enough to be quick, few enough to show progress and not to hold up other calls. */
const STRETCH = 10_000

const mark = z.object({ position: z.int().min(0), processed: z.int().min(0), digest: z.string() })
const request = z.strictObject({
  projection: z.string(),
  progress: mark
    .extend({
      agreed: z.int().min(0),
      undefinedTypes: z.record(z.string(), z.int().min(1)).optional(),
    })
    .default(AUDIT_START),
  target: mark.optional(),
})

/**
 * Audits one stretch of a projection, or of a partition of one: recomputes its digest from the log and compares the
 * two. The caller repeats this with the `progress` and `target` of the answer until the target is reached or there is
 * a finding.
 *
 * @throws CqrsError CQRS_UNKNOWN_PROJECTION
 */
export async function auditProjection(system: System, input: unknown): Promise<AuditAnswer> {
  const { projection: name, progress, target: given } = parseRequest(request, input)
  const { projection, partition } = findUnit(system.app, name)
  const { parked } = await system.standing(name)
  const all = await system.marks(name, progress.position, progress.position + STRETCH)
  // The view moves on while it is audited, so the audit ends at the position that the view had when the audit began.
  const target = given ?? all.at(-1) ?? AUDIT_START
  const marks = [...all.filter(({ position }) => position < target.position), target]
  if (progress.position >= target.position) return { projection: name, target, parked, progress }
  const step = await auditStep({
    log: system.log,
    types: handledTypes(projection),
    isDefined: (type) => system.app.events.defines(type),
    partition,
    progress,
    marks,
    limit: STRETCH,
  })
  return step.kind === 'agrees'
    ? { projection: name, target, parked, progress: step.progress }
    : { projection: name, target, parked, progress, finding: step.finding }
}
