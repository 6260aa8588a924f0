import { between, oneOf, seededRandom, shuffled } from './random.ts'

/**
 * What can be done to a system:
 * `kill`: SIGKILL of a process; `pause`: SIGSTOP, and SIGCONT after a time; `cut`: its link to the engine is reset;
 * `stall`: nothing passes on its link for a time; `half-open`: its link stays open and nothing ever passes on it
 * again; `wipe`: the queue's store is deleted while its worker dies; `disk-full`: for a time nothing more fits on
 * the disk of the data folder.
 */
export const FAULT_KINDS = ['kill', 'pause', 'cut', 'stall', 'half-open', 'wipe', 'disk-full'] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

/** Whom faults hit: the processes of `cqrs up`, itself included; `queries` is that of the operator, too. */
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
  // One disk is everybody's.
  'disk-full': VICTIMS,
}

/** One fault of a schedule. Times in milliseconds. */
export interface Fault {
  /** From 1 on. */
  readonly number: number
  readonly kind: FaultKind
  /** Whom it hits; `all` for the disk. */
  readonly victim: Victim | 'all'
  /** Which process of the victim's, if it has several: 0 is the first, and close to 1 the last. */
  readonly which: number
  /** When it begins, from the beginning of its round. */
  readonly atMs: number
  /** How long it lasts; 0 for what is over at once. */
  readonly forMs: number
}

/** Faults that come together; the next round begins when the system has recovered from them. */
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
  /** Faults in a minute, were the system recovered from each at once. */
  readonly perMinute: number
  /** A length beyond every timeout of the system, in milliseconds; one in five of those that last is that long. */
  readonly longMs: number
}

/** Rounds of so many faults: seven of ten faults come alone, some on top of others. */
const ROUND_SIZES = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3]

/** Shortest time that a fault lasts which lasts, and what most of them do not exceed, in milliseconds. */
const SHORT = { from: 50, to: 2_000 }

/** Within how many milliseconds the faults of one round begin. */
const TOGETHER_MS = 500

/**
 * The faults of a storm. The same seed and options give the same faults, whatever the system does. Each kind
 * comes once before any comes again, and within a kind each victim.
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

/** Whom a kind of fault can hit, of those that were chosen. */
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

/** Gives each of some things once, in a random order, before any comes again. */
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
