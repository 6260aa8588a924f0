import { between, oneOf, seededRandom, shuffled } from './random.ts'

/**
 * What can be done to a system:
 * - `kill`: SIGKILL of a process
 * - `pause`: SIGSTOP of a process, and SIGCONT after a time
 * - `cut`: its link to the engine is reset
 * - `stall`: nothing passes on its link for a time
 * - `half-open`: its link stays open, and nothing ever passes on it again
 * - `wipe`: the queue's store is deleted while its worker dies
 * - `disk-full`: for a time, nothing more fits on the disk of the data folder
 */
export const FAULT_KINDS = ['kill', 'pause', 'cut', 'stall', 'half-open', 'wipe', 'disk-full'] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

/** What faults can hit: the processes of `cqrs up`, including itself; `queries` also runs the operator role. */
export const VICTIMS = ['engine', 'queue', 'projections', 'commands', 'queries', 'supervisor'] as const

export type Victim = (typeof VICTIMS)[number]

const WORKERS: readonly Victim[] = ['queue', 'projections', 'commands', 'queries']

const POSSIBLE: Readonly<Record<FaultKind, readonly Victim[]>> = {
  kill: VICTIMS,
  pause: VICTIMS,
  cut: WORKERS,
  stall: WORKERS,
  'half-open': WORKERS,
  wipe: ['queue'],
  // All of them share one disk.
  'disk-full': VICTIMS,
}

/** One fault of a schedule. Times in milliseconds. */
export interface Fault {
  /** Counted from 1. */
  readonly number: number
  readonly kind: FaultKind
  /** Whom it hits; `all` for the disk. */
  readonly victim: Victim | 'all'
  /** Which process of the victim, if it has several: 0 is the first, and close to 1 the last. */
  readonly which: number
  /** When it begins, counted from the beginning of its round. */
  readonly atMs: number
  /** How long it lasts; 0 for a fault that is over at once. */
  readonly forMs: number
}

/** Faults that come together. The next round begins when the system has recovered from them. */
export interface Round {
  /** The wait before it, in milliseconds. */
  readonly waitMs: number
  readonly faults: readonly Fault[]
}

/** What {@link schedule} draws from. */
export interface ScheduleOptions {
  readonly kinds: readonly FaultKind[]
  readonly victims: readonly Victim[]
  /** How many faults. */
  readonly faults: number
  /** How many faults come in a minute, if the system recovers from each at once. */
  readonly perMinute: number
  /**
   * A time longer than every timeout of the system, in milliseconds. One in five of the lasting faults lasts at least
   * this long.
   */
  readonly longMs: number
}

/** How many faults a round has: seven of ten rounds have a single one, the others several together. */
const ROUND_SIZES = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3]

/** The range of most lasting faults, in milliseconds: from the shortest time to what four of five do not exceed. */
const SHORT = { from: 50, to: 2_000 }

/** The time within which all faults of a round begin, in milliseconds. */
const TOGETHER_MS = 500

/**
 * The faults of a storm. The same seed and options give the same faults, whatever the system does. Each kind comes once
 * before any kind comes again, and the same is true of the victims of a kind.
 */
export function schedule(seed: number, options: ScheduleOptions): readonly Round[] {
  const random = seededRandom(seed)
  const { perMinute, faults } = options
  const possible = options.kinds.map((kind) => ({ kind, victims: victimsOf(kind, options.victims) }))
  const kinds = new Bag(
    random,
    possible.filter(({ victims }) => victims.length > 0).map(({ kind }) => kind),
  )
  const victims = new Map(possible.map(({ kind, victims }) => [kind, new Bag(random, victims)]))
  const rounds: Round[] = []
  for (let number = 1; number <= faults && kinds.size > 0; ) {
    const size = Math.min(oneOf(random, ROUND_SIZES), faults - number + 1)
    const waitMs = between(random, 0, Math.round((2 * size * 60_000) / perMinute))
    const round = Array.from({ length: size }, (_, index): Fault => {
      const kind = kinds.draw()
      return {
        number: number + index,
        kind,
        victim: victims.get(kind)?.draw() ?? 'all',
        which: random(),
        atMs: index === 0 ? 0 : between(random, 0, TOGETHER_MS),
        forMs: lasts(kind) ? length(random, options.longMs) : 0,
      }
    })
    rounds.push({ waitMs, faults: round })
    number += size
  }
  return rounds
}

/** The victims that a kind of fault can hit, among the chosen ones. */
export function victimsOf(kind: FaultKind, chosen: readonly Victim[]): readonly (Victim | 'all')[] {
  const victims = POSSIBLE[kind].filter((victim) => chosen.includes(victim))
  return kind === 'disk-full' && victims.length > 0 ? ['all'] : victims
}

function lasts(kind: FaultKind): boolean {
  return kind === 'pause' || kind === 'stall' || kind === 'disk-full'
}

function length(random: () => number, longMs: number): number {
  return random() < 0.8 ? between(random, SHORT.from, SHORT.to) : between(random, longMs, 1.5 * longMs)
}

/** Gives each of its items once, in random order, before any comes again. */
class Bag<Item> {
  readonly #random: () => number
  readonly #items: readonly Item[]
  #left: Item[] = []

  constructor(random: () => number, items: readonly Item[]) {
    this.#random = random
    this.#items = items
  }

  get size(): number {
    return this.#items.length
  }

  draw(): Item {
    if (this.#left.length === 0) this.#left = shuffled(this.#random, this.#items)
    return this.#left.pop() as Item
  }
}
