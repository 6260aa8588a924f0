import { childrenOf } from './process-tree.ts'
import type { Victim } from './schedule.ts'

/** The processes of a victim under a supervisor, in the order in which they were started. */
export function processesOf(victim: Victim, supervisor: number): number[] {
  if (victim === 'supervisor') return [supervisor]
  // A process starts as `… cli.ts worker queue` and then calls itself `cqrs queue`.
  const called = new RegExp(` ${victim}(?![\\w-])`)
  return childrenOf(supervisor)
    .filter(({ args }) => called.test(args))
    .map(({ pid }) => pid)
    .sort((one, other) => one - other)
}

/** Sends a signal. @returns false if there is no such process (any more) */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
