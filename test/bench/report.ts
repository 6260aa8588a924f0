import type { MachineFacts } from './lab/machine.ts'
import type { Spread } from './lab/spread.ts'
import type { OptionValue, Row, Scenario } from './scenario.ts'

/** What one scenario gave, as `--json` writes it. */
export interface ScenarioResult {
  readonly scenario: string
  readonly durable: string
  readonly options: Readonly<Record<string, OptionValue>>
  readonly rounds: number
  readonly seconds: number
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
}

/** The facts about the machine in one paragraph. */
export function describeMachine(facts: MachineFacts): string {
  const { cpu, cores, memoryGiB, os, node, sqlite, filesystem, loadBefore, fsyncMs } = facts
  return (
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, ${filesystem}, fsync of 4 KiB ${fsyncMs} ms, ` +
    `Node ${node}, SQLite ${sqlite}; load before: ${loadBefore}`
  )
}

/** A scenario's lines as a Markdown table, so that it can be pasted into a page. */
export function table({ rows }: Pick<ScenarioResult, 'rows'>): string {
  const heads = [...new Set(rows.flatMap(({ of, is }) => [...Object.keys(of), ...Object.keys(is)]))]
  const lines = rows.map(({ of, is }) => heads.map((head) => cell(of[head] ?? is[head])))
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...lines.map((line) => line[column]?.length ?? 0)),
  )
  const draw = (cells: readonly string[]) =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [
    draw(heads),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...lines.map(draw),
  ].join('\n')
}

/** What `--list` prints. */
export function describeScenario({ name, title, durable, options }: Scenario): string {
  const lines = Object.entries(options).map(
    ([option, { help, default: value }]) => `    --set ${option}=${String(value)}  ${help}`,
  )
  return [`${name}: ${title}`, `    durable when answered: ${durable}`, ...lines].join('\n')
}

function cell(value: Spread | number | string | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return round(value)
  const { median, min, max, rounds } = value
  return rounds === 1 ? round(median) : `${round(median)} (${round(min)} to ${round(max)})`
}

/** Three significant digits; whole numbers from a hundred on. */
function round(value: number): string {
  if (!Number.isFinite(value)) return 'none'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}
