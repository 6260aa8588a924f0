import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** A running process. */
export interface RunningProcess {
  readonly pid: number
  /** Its command line. */
  readonly args: string
}

/** The running children of a process, according to the operating system. */
export function childrenOf(parent: number): RunningProcess[] {
  if (process.platform === 'linux') return childrenFromProc(parent)
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
  return table.split('\n').flatMap((line) => {
    const [, pid, ppid, args = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    return Number(ppid) === parent ? [{ pid: Number(pid), args }] : []
  })
}

function childrenFromProc(parent: number): RunningProcess[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
  return pids.flatMap((pid) => {
    const args = readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
    return args ? [{ pid: Number(pid), args }] : []
  })
}

/** The fourth field of `stat`. The second one, the name in brackets, may contain anything. */
function parentOf(pid: string): number {
  return Number(/.*\) \S (\d+) /s.exec(readOrEmpty(`/proc/${pid}/stat`))?.[1])
}

/** Empty if the file is gone: a process can end after it was listed. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
