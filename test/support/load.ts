import { type Load, type LoadOptions, startLoad as start } from '../../src/chaos/load.ts'
import { acceptedAt } from './inventory-client.ts'
import { until } from './until.ts'

export type { SettledCommand } from '../../src/chaos/load.ts'
export type { Load }

/** A load whose clients never pause; every command has to be settled in the end. */
export function startLoad(options: Pick<LoadOptions, 'http' | 'seed' | 'clients' | 'items'>): Promise<Load> {
  return start({ ...options, name: String(options.seed) })
}

/** The highest position that a command was answered with. */
export function headOf({ settled }: Load): number {
  const accepted = settled.filter(({ answer }) => answer.status < 300)
  return Math.max(...accepted.map(({ answer }) => acceptedAt(answer)))
}

/** Resolves when `count` further commands are settled. */
export async function settledMore(load: Load, count: number): Promise<void> {
  const wanted = load.settled.length + count
  await until(`${count} further commands are settled`, () => load.settled.length >= wanted, 30_000)
}
