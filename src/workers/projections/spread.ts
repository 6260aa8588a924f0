import { setTimeout as delay } from 'node:timers/promises'
import { isOwned, type OwnerLock, tryOwn } from '../../sqlite/owner-lock.ts'

/** Work on one unit. */
export interface UnitAtWork {
  /** Finishes what is under way; nothing of the unit is touched afterwards. */
  stop(): Promise<void>
}

export interface SpreadOptions {
  /** The names of all units, the same in every process. */
  readonly units: readonly string[]
  /**
   * Tries to take the lock of a unit; whoever holds it works on the unit. Undefined if this process may not have it at
   * the moment.
   */
  own(unit: string): Promise<OwnerLock | undefined>
  /** The lock of a seat, counted from 0; a process that holds a seat takes part. */
  seatLock(seat: number): string
  /** How often to check whether this process should have more or fewer units, in milliseconds. */
  readonly intervalMs: number
  /** Ends the checks. */
  readonly signal: AbortSignal
  /** Begins to work on a unit that this process owns now. */
  begin(unit: string): Promise<UnitAtWork>
  /** Called when all seats are taken: other processes do everything. */
  onStandby(): void
  /** Called with the units that this process works on, when it has got its seat and whenever they change. */
  onChange(units: readonly string[]): void
}

/** A share of the units; see {@link spread}. */
export interface Share {
  /** Resolves after the first check: this process has its share, or stands by. */
  readonly settled: Promise<void>
  /** Rejects if work on a unit could not be begun or ended; resolves when the checks have ended. */
  readonly done: Promise<void>
  /** Stops work on all units; to be called after the signal was aborted. */
  stop(): Promise<void>
}

interface Held {
  readonly lock: OwnerLock
  readonly work: UnitAtWork
}

/**
 * Shares units among all processes that call this for the same locks, without a coordinator. There are as many seats as
 * units, and each process takes the first free seat. So every process can tell from the taken seats how many processes
 * there are. Each may hold an equal part of the units; a remainder goes to the first seats. A process that holds too
 * many lets go of some, one that holds too few takes free ones. The locks are the operating system's: those of a
 * process that dies are free at once, and those of a process that is stopped (SIGSTOP) stay taken. So no unit is ever
 * worked on by two.
 *
 * A check of a lock takes it for a moment. So two processes that check at the same time may each believe that there is
 * a third. That is why a unit is let go of only when two checks in a row found the same seats taken.
 */
export function spread(options: SpreadOptions): Share {
  const { units, signal, intervalMs } = options
  const held = new Map<string, Held>()
  let seat: { readonly index: number; readonly lock: OwnerLock } | undefined
  let toldOfStandby = false
  let seenBefore: string | undefined

  const look = async () => {
    seat ??= takeSeat(options)
    if (!seat) {
      if (!toldOfStandby) options.onStandby()
      toldOfStandby = true
      return
    }
    const taken = seatsTaken(options, seat.index)
    const quota = shareOf(units.length, taken.length, taken.indexOf(seat.index))
    const isFirst = seenBefore === undefined
    const isSettled = taken.join() === seenBefore
    seenBefore = taken.join()
    const before = held.size
    while (isSettled && held.size > quota && !signal.aborted)
      await letGo(held, [...held.keys()].at(-1) as string)
    for (const unit of units) {
      if (held.size >= quota || signal.aborted) break
      if (!held.has(unit)) await take(held, unit, options)
    }
    if (isFirst || held.size !== before) options.onChange([...held.keys()])
  }

  const settled = look()
  const done = (async () => {
    await settled
    while (!signal.aborted) {
      await delay(intervalMs, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await look()
    }
  })()
  done.catch(() => undefined)
  return {
    settled,
    done,
    async stop() {
      await done.catch(() => undefined)
      await Promise.all([...held.keys()].map((unit) => letGo(held, unit)))
      seat?.lock.release()
    },
  }
}

/** How many of `units` the member with this rank (counted from 0) may hold. */
function shareOf(units: number, members: number, rank: number): number {
  return Math.floor(units / members) + (rank < units % members ? 1 : 0)
}

function takeSeat({ units, seatLock }: SpreadOptions): { index: number; lock: OwnerLock } | undefined {
  for (const index of units.keys()) {
    if (isOwned(seatLock(index))) continue
    const outcome = tryOwn(seatLock(index))
    if (outcome.held) return { index, lock: outcome.lock }
  }
  return undefined
}

function seatsTaken({ units, seatLock }: SpreadOptions, own: number): number[] {
  return [...units.keys()].filter((seat) => seat === own || isOwned(seatLock(seat)))
}

async function take(held: Map<string, Held>, unit: string, options: SpreadOptions): Promise<void> {
  const lock = await options.own(unit)
  if (!lock) return
  try {
    held.set(unit, { lock, work: await options.begin(unit) })
  } catch (error) {
    lock.release()
    throw error
  }
}

async function letGo(held: Map<string, Held>, unit: string): Promise<void> {
  const { lock, work } = held.get(unit) as Held
  held.delete(unit)
  try {
    await work.stop()
  } finally {
    lock.release()
  }
}
