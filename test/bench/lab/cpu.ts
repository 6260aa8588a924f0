/** CPU time that this process has used, in microseconds. */
export interface CpuTime {
  /** All of its threads. */
  readonly process: number
  /** Its main thread alone. */
  readonly main: number
}

/**
 * Begins to count the CPU time of this process. Unlike time on the clock it hardly depends on who else uses
 * the machine.
 */
export function cpuSince(): () => CpuTime {
  const before = { process: process.cpuUsage(), main: process.threadCpuUsage() }
  return () => {
    const all = process.cpuUsage(before.process)
    const main = process.threadCpuUsage(before.main)
    return { process: all.user + all.system, main: main.user + main.system }
  }
}
