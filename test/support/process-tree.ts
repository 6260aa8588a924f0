import type { ChildProcess } from 'node:child_process'
import { childrenOf } from '../../src/chaos/process-tree.ts'

export { childrenOf }

/** Kills a process, unless it has ended, and the processes that it has started. */
export function killWithChildren(child: ChildProcess): void {
  const isAlive = child.exitCode === null && child.signalCode === null
  const pids = isAlive && child.pid ? childrenOf(child.pid).map(({ pid }) => pid) : []
  child.kill('SIGKILL')
  for (const pid of pids) killIfAlive(pid)
}

/** Kills a process that may end by itself at any moment. */
export function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
