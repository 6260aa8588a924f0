import { setTimeout as delay } from 'node:timers/promises'
import { isOwned, type OwnerLock, tryOwn } from '../sqlite/owner-lock.ts'

/** Work on one unit. */
export interface UnitAtWork {
  /** Finishes what is under way; nothing of the unit is touched afterwards. */
  stop(): Promise<void>
}

export interface SpreadOptions {
  /** The names of what is to be done, the same in every process. */
  readonly units: readonly string[]
  /** Tries to take the lock of a unit: who holds it works on the unit. Undefined if that may not be at the moment. */
  own(unit: string): Promise<OwnerLock | undefined>
  /** The lock of a seat, from 0 on: who holds one takes part. */
  seatLock(seat: number): string
  /** How often to look whether there is more or less to do, in milliseconds. */
  readonly intervalMs: number
  /** Ends the looking. */
  readonly signal: AbortSignal
  /** Begins to work on a unit that this process owns now. */
  begin(unit: string): Promise<UnitAtWork>
  /** Told when this process finds that all seats are taken: others do everything. */
  onStandby(): void
  /** Told of what this process works on, when it has its seat and whenever it changes. */
  onChange(units: readonly string[]): void
}

/** A share of the units; see {@link spread}. */
export interface Share {
  /** Resolves after the first look: this process has its share, or stands by. */
  readonly settled: Promise<void>
  /** Rejects when a unit could not be begun or ended; resolves when the looking has ended. */
  readonly done: Promise<void>
  /** Stops work on all units, after the signal was given. */
  stop(): Promise<void>
}

interface Held {
  readonly lock: OwnerLock
  readonly work: UnitAtWork
}

/**
 * Shares units among all processes that call this for the same locks, with nobody in charge. There are as many seats as units; a
 * process takes the first free one, so all can tell from the seats that are taken how many they are. Each may
 * hold its part of the units, the remainder going to the first seats. Who holds more lets go of some, who
 * holds less takes what is free. The locks are the operating system's: those of a process that dies are
 * free at once, and those of one that is stopped (SIGSTOP) are not, so no unit is ever worked on by two.
 *
 * A look at a lock takes it for a moment, so two that look at the same time may each believe that there is a
 * third: a unit is let go of only when two looks in a row found the same seats taken.
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

/** How many of `units` the member of a rank (from 0 on) may hold. */
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
