import { isDeepStrictEqual } from 'node:util'
import type { GenerationDetails, ProjectionDetails } from '../generations-contract.ts'
import { count, printable } from './table.ts'

type State = GenerationDetails['state']

type Report = NonNullable<GenerationDetails['report']>

/**
 * The newest comparison of a generation with the one that served at that time, as text for people, line by line;
 * empty if there was none.
 */
export function lastComparison({ name, generations }: ProjectionDetails): string[] {
  const one = generations.findLast(({ report }) => report !== null)
  if (!one?.report) return []
  const { generation, purpose, state, report, verdict, by, requestedAt } = one
  const what =
    purpose === 'verify' ? `Generation ${generation}, folded again from the log,` : `Generation ${generation}`
  return [
    '',
    `${what} compared with the one that served, requested by ${printable(by)} at ${requestedAt}: ${verdict}`,
    ...found(),
  ]

  function found(): string[] {
    if (report?.kind !== 'compared' || verdict !== 'same')
      return report ? differences(name, state, report) : []
    const { position, documents } = report.after
    return [
      `  all ${count(documents)} documents are the same at position ${count(position)}`,
      ...parkedIn(report),
    ]
  }
}

/** The findings of a comparison as text for people, line by line. */
export function differences(projection: string, state: State, report: Report): string[] {
  // If the generation failed because of the damage, its error already says so.
  if (report.kind === 'damaged')
    return state === 'failed' ? [] : damage(projection, state, `${report.file}: ${report.reason}`)
  const { added, changed, removed, damaged, examples, samePosition, before, after } = report
  const lines = [
    `  ${count(added)} documents added, ${count(changed)} changed, ${count(removed)} removed (served -> folded from the log)`,
  ]
  if (!samePosition) {
    lines.push(
      `  They were compared at different positions: ${count(before.position)} and ${count(after.position)}.`,
    )
  }
  lines.push(...parkedIn(report))
  for (const example of examples) {
    const how = example.damaged ? ' (the stored document is damaged)' : ''
    lines.push(`  ${example.kind} ${printable(example.key)}: ${change(example)}${how}`)
  }
  const more = added + changed + removed - examples.length
  if (more > 0) lines.push(`  … and ${count(more)} more`)
  if (damaged > 0)
    lines.push(...damage(projection, state, `${count(damaged)} of its documents are not what was written`))
  return lines
}

/** That a side lacks parked events; of the fold from the log nothing else is left to tell why it differs. */
export function parkedIn({ before, after }: Extract<Report, { kind: 'compared' }>): string[] {
  const sides = [
    ['The view that served', before.parked],
    ['The fold from the log', after.parked],
  ] as const
  return sides.flatMap(([side, parked]) =>
    parked ? [`  ${side} lacks parked events (${count(parked.events)}): ${printable(parked.error)}`] : [],
  )
}

type Example = Extract<Report, { kind: 'compared' }>['examples'][number]

/** The document that was added or removed, or the fields that changed. */
function change({ kind, before, after, cut }: Example): string {
  // A document that was cut is already a text.
  const text = (value: unknown) => (cut ? printable(String(value)) : json(value))
  if (kind !== 'changed') return text(kind === 'added' ? after : before)
  if (cut || !isObject(before) || !isObject(after)) return `${text(before)} -> ${text(after)}`
  const fields = new Set([...Object.keys(before), ...Object.keys(after)])
  const changed = [...fields].filter((field) => !isDeepStrictEqual(before[field], after[field]))
  if (changed.length === 0) return `${text(before)} -> ${text(after)}`
  return changed
    .map((field) => `${printable(field)} ${json(before[field])} -> ${json(after[field])}`)
    .join(', ')
}

function json(value: unknown): string {
  return value === undefined ? '-' : printable(JSON.stringify(value))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What to do about a generation that is damaged. */
function damage(projection: string, state: State, error: string): string[] {
  const serves = !['active', 'previous', 'returning', 'retired'].includes(state)
  return serves
    ? [
        `  The generation that serves is damaged: ${printable(error)}`,
        `  "cqrs rebuild ${projection}", without --require-parity, replaces it.`,
      ]
    : [`  The generation that served before is damaged: ${printable(error)}`, '  "cqrs prune" removes it.']
}
