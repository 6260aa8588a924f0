import type { Spread, StormReport } from '../../chaos/report.ts'
import type { FaultRecord } from '../../chaos/storm.ts'
import { type Column, count, layOut } from './table.ts'

/** One fault on one line: when it came, what it was, what it hit, how long it lasted, and how the system recovered. */
export function describeFault(record: FaultRecord, planned: number): string {
  const { number, beganMs, kind, victim, forMs, together, recovery } = record
  const lasted = forMs > 0 ? ` for ${seconds(forMs)}` : ''
  const back = recovery
    ? `${recovery.acceptedMs === undefined ? '' : `accepted after ${Math.round(recovery.acceptedMs)} ms, `}no lag after ${Math.round(recovery.zeroLagMs)} ms`
    : 'did NOT recover'
  const on = `${String(number).padStart(String(planned).length)}/${planned}`
  return `${on}  ${seconds(beganMs).padStart(8)}  ${kind} ${victim}${lasted}${together ? ' (with others)' : ''}: ${back}`
}

/** The report as text for people. */
export function renderReport(report: StormReport, width = Number.POSITIVE_INFINITY): string[] {
  const { seed, app, system, ended, tookMs, faults, commands, events, findings } = report
  const lines = [
    '',
    `Storm over the ${system} system of ${app}, seed ${seed}: ${count(faults.done)} of ${count(faults.planned)} faults in ` +
      `${seconds(tookMs)}${ended === 'done' ? '' : ` (${ended})`}.`,
    ...report.leftOut.map((line) => `Left out: ${line}.`),
    '',
    ...layOut(faultColumns(report), Object.entries(faults.byKind), width),
    '',
    `Times are in ms (p50 / p99 / max) from the moment when the cause was gone; those of one kind are from faults that came alone.`,
    `All faults: accepted again ${spread(report.recovery.acceptedMs)}, no lag ${spread(report.recovery.zeroLagMs)}.`,
    '',
  ]
  if (commands) {
    const { sent, accepted, refused, retries, replayed, lost, doubled, oversold } = commands
    lines.push(
      `Commands: ${count(sent)} settled, ${count(accepted)} accepted, ${count(refused)} refused; ${count(retries)} retries, ` +
        `${count(replayed)} answers from an earlier try${events === null ? '' : `; ${count(events)} events`}.`,
    )
    if (lost !== null && doubled !== null && oversold !== null) {
      lines.push(
        `Acknowledged and lost: ${count(lost)}. Doubled: ${count(doubled)}. Oversold: ${count(oversold)}.`,
      )
    }
    lines.push('')
  }
  if (report.views.length > 0) lines.push(...layOut(VIEW_COLUMNS, report.views, width), '')
  if (report.ok) lines.push('Every promise was kept.')
  else if (ended === 'system ended') lines.push('Nothing was proven: the system ended in the middle of it.')
  else lines.push(`BROKEN, ${count(findings.length)} findings:`, ...shown(findings))
  if (!report.ok && ended !== 'system ended')
    lines.push(`To repeat these faults: cqrs chaos --seed ${seed} with the same options.`)
  return lines
}

/** How many findings the text shows; --json has all of them. */
const SHOWN = 50

function shown(findings: StormReport['findings']): string[] {
  const lines = findings.slice(0, SHOWN).map(({ what, message }) => `  ${what}: ${message}`)
  return findings.length > SHOWN ? [...lines, `  … and ${count(findings.length - SHOWN)} more`] : lines
}

type KindRow = readonly [kind: string, victims: Readonly<Record<string, number>>]

function faultColumns(report: StormReport): readonly Column<KindRow>[] {
  return [
    { title: 'FAULT', cell: ([kind]) => kind },
    {
      title: 'HIT',
      cell: ([, victims]) =>
        Object.entries(victims)
          .map(([victim, times]) => `${victim} ${times}`)
          .join(', '),
    },
    {
      title: 'ACCEPTED AGAIN',
      align: 'right',
      cell: ([kind]) => spread(report.recoveryByKind[kind]?.acceptedMs),
    },
    { title: 'NO LAG', align: 'right', cell: ([kind]) => spread(report.recoveryByKind[kind]?.zeroLagMs) },
  ]
}

const VIEW_COLUMNS: readonly Column<StormReport['views'][number]>[] = [
  { title: 'VIEW', cell: ({ name }) => name },
  { title: 'POSITION', align: 'right', cell: ({ position }) => count(position) },
  { title: 'EVENTS', align: 'right', cell: ({ processed }) => count(processed) },
  { title: 'AUDIT', cell: ({ audit }) => (audit === 'certified' ? audit : 'NOT certified') },
  {
    title: 'PLAIN FOLD',
    cell: ({ equalsFold }) => (equalsFold === null ? 'not known' : equalsFold ? 'equal' : 'DIFFERS'),
  },
]

function spread(values: Spread | null | undefined): string {
  return values ? `${count(values.p50)} / ${count(values.p99)} / ${count(values.max)}` : '–'
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
