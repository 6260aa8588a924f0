import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { dataPaths } from '../config/paths.ts'
import { signal } from './processes.ts'
import type { Fault, FaultKind, Victim } from './schedule.ts'
import type { StormSystem } from './system.ts'
import { until } from './until.ts'

/**
 * How long to wait for a victim that is dead when its turn comes, and for a killed process to be gone, in milliseconds.
 */
const VICTIM_MS = 30_000

/**
 * Inflicts one fault on a system.
 *
 * @param ending a fault that lasts ends early when this is aborted
 * @returns the moment, by `performance.now()`, when the cause was gone: the process was killed or continued, the link
 *   passed data again, the disk had room. It resolves later if something then had to be started again
 * @throws Error if the victim does not come (back) to life, or the system has ended
 */
export async function inflict(system: StormSystem, fault: Fault, ending: AbortSignal): Promise<number> {
  const over = await INFLICT[fault.kind](system, fault, ending)
  // Nobody else starts a supervisor again. The time until it is up counts as part of the recovery.
  if (fault.kind === 'kill' && fault.victim === 'supervisor') await system.restart()
  return over
}

type Inflict = (system: StormSystem, fault: Fault, ending: AbortSignal) => Promise<number>

const INFLICT: Readonly<Record<FaultKind, Inflict>> = {
  async kill(system, fault) {
    const pid = await victimOf(system, fault)
    if (fault.victim === 'supervisor') system.expectEnd()
    signal(pid, 'SIGKILL')
    await gone(pid)
    return performance.now()
  },

  async pause(system, fault, ending) {
    const pid = await victimOf(system, fault)
    signal(pid, 'SIGSTOP')
    await lasting(fault.forMs, ending)
    // Its supervisor may have killed it meanwhile as a hanging process.
    signal(pid, 'SIGCONT')
    return performance.now()
  },

  async cut(system, fault) {
    await linkOf(system, fault).breakConnections()
    return performance.now()
  },

  async stall(system, fault, ending) {
    const link = linkOf(system, fault)
    link.stall()
    await lasting(fault.forMs, ending)
    link.resume()
    return performance.now()
  },

  async 'half-open'(system, fault) {
    linkOf(system, fault).loseConnections()
    return performance.now()
  },

  async wipe(system, fault) {
    const pid = await victimOf(system, fault)
    // A stopped process cannot write between the deletion and its end, nor can its successor begin.
    signal(pid, 'SIGSTOP')
    const { queue } = dataPaths(system.data)
    for (const file of [queue, `${queue}-wal`, `${queue}-shm`]) rmSync(file, { force: true })
    signal(pid, 'SIGKILL')
    await gone(pid)
    return performance.now()
  },

  async 'disk-full'(system, fault, ending) {
    await system.disk?.fill(fault.forMs, ending)
    return performance.now()
  },
}

/** A process of the victim; if none is alive, waits until one is. */
function victimOf(system: StormSystem, { victim, which }: Fault): Promise<number> {
  const alive = () => pick(system.pidsOf(victim as Victim), which)
  return until(`a ${victim} process runs`, alive, VICTIM_MS, system.ended)
}

function linkOf(system: StormSystem, { victim, which }: Fault) {
  const link = pick(system.linksOf(victim as Victim), which)
  if (!link) throw new Error(`There is no proxy between the ${victim} process and the engine.`)
  return link
}

function pick<Item>(items: readonly Item[], which: number): Item | undefined {
  return items[Math.floor(which * items.length)]
}

function gone(pid: number): Promise<unknown> {
  return until(`process ${pid} has ended`, () => !signal(pid, 0), VICTIM_MS)
}

function lasting(ms: number, ending: AbortSignal): Promise<unknown> {
  return delay(ms, undefined, { signal: ending }).catch(() => {})
}
