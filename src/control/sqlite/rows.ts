import { parseJson } from '../../kernel/json.ts'
import { type ParityReport, toParityReport } from '../../projection/parity.ts'
import type { Generation, GenerationPart, PartPhase, ProjectionControl } from '../contract.ts'
import type { GenerationState, Purpose } from '../machine.ts'

type Row = Record<string, unknown>

/** Assembles what the tables hold about one projection. */
export function toControl(
  projection: Row,
  generations: readonly Row[],
  parts: readonly Row[],
  takenOver: readonly Row[],
): ProjectionControl {
  return {
    name: String(projection.name),
    paused: projection.paused === 1,
    swaps: Number(projection.swaps),
    outgoing: projection.outgoing === null ? undefined : Number(projection.outgoing),
    takenOver: new Map(takenOver.map(({ partition, swap }) => [Number(partition), Number(swap)])),
    generations: generations.map((row) =>
      toGeneration(
        row,
        parts.filter(({ generation }) => generation === row.generation),
      ),
    ),
  }
}

function toGeneration(row: Row, parts: readonly Row[]): Generation {
  return {
    projection: String(row.projection),
    generation: Number(row.generation),
    version: Number(row.version),
    partitions: Number(row.partitions),
    state: row.state as GenerationState,
    purpose: row.purpose as Purpose,
    until: row.until === null ? undefined : Number(row.until),
    requireParity: row.require_parity === 1,
    forced: row.forced === 1,
    by: String(row.requested_by),
    requestedAt: String(row.requested_at),
    changedAt: String(row.changed_at),
    error: (row.error ?? undefined) as string | undefined,
    report: row.report === null ? undefined : toReport(String(row.report)),
    parts: parts.map(toPart),
  }
}

/**
 * A damaged report counts as missing: the comparison that waits for it is made again, and everything else can still be
 * read.
 */
function toReport(text: string): ParityReport | undefined {
  try {
    return toParityReport(parseJson(text))
  } catch {
    return undefined
  }
}

function toPart(row: Row): GenerationPart {
  return {
    partition: Number(row.partition),
    phase: row.phase as PartPhase,
    position: Number(row.position),
    target: Number(row.target),
    eventsPerSecond: Number(row.events_per_second),
    leading: row.leading === 1,
    error: (row.error ?? undefined) as string | undefined,
    updatedAt: String(row.updated_at),
  }
}
