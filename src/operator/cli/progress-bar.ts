import type { BuildStatus } from '../contract.ts'
import type { GenerationDetails } from '../generations-contract.ts'
import { count } from './table.ts'

const WIDTH = 30

/** `████░░░░` for a part of a whole. */
export function bar(part: number, whole: number): string {
  const filled = whole === 0 ? WIDTH : Math.min(WIDTH, Math.floor((WIDTH * part) / whole))
  return '█'.repeat(filled) + '░'.repeat(WIDTH - filled)
}

/** The progress of a generation on one line. */
export function progressLine(name: string, one: GenerationDetails): string {
  const { generation, state, phase, position, target, eventsPerSecond, secondsLeft, error } = one
  const doing = state === 'building' ? phase : state
  // The target is 0 until a worker has read the log, and for a generation that a rollback brings back.
  const far = target === 0 ? '' : `, ${count(position)} of ${count(target)}`
  const speed = eventsPerSecond > 0 ? `, ${count(Math.round(eventsPerSecond))} events/s` : ''
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`
  const trouble = error === null ? '' : `: ${error}`
  return `${name} generation ${generation}: ${doing}${far}${speed}${left}${trouble}`
}

const DOING: Readonly<Record<BuildStatus['purpose'], string>> = {
  serve: 'rebuilding',
  verify: 'verifying',
  inspect: 'building to inspect',
}

/** The progress of a build for a table cell: `rebuilding: folding, 33 %, 4 s left`. */
export function briefProgress({ purpose, phase, position, target, secondsLeft, error }: BuildStatus): string {
  if (error !== null) return `${DOING[purpose]}: cannot go on`
  // Rounded down: 100 % means that it is complete.
  const far = target === 0 ? '' : `, ${Math.min(100, Math.floor((100 * position) / target))} %`
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`
  return `${DOING[purpose]}: ${phase}${far}${left}`
}

/** 3725 as `1 h 2 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}

/** 1536 as `1.5 KiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [amount, unit] = [value, 0]
  while (amount >= 1_024 && unit < units.length - 1) [amount, unit] = [amount / 1_024, unit + 1]
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`
}
