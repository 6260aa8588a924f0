import type { DurableQueue } from '../queue/queue.ts'

/** A redrive that is under way, or has ended and not all that it did was told. */
interface Redrive {
  isRunning: boolean
  /** With what the one before did and nobody was told of. */
  redriven: number
  /** Of those, how many whoever asked was told of. */
  told: number
  readonly ended: Promise<void>
}

const NONE: Redrive = { isRunning: false, redriven: 0, told: 0, ended: Promise.resolve() }

/** What was redriven since somebody was told last, and whether it goes on. */
export interface RedriveStep {
  readonly redriven: number
  readonly more: boolean
}

/**
 * Redrives of all dead letters of a queue. They are put back in one go, since none may be delivered before those that are older are
 * there; and of a million that takes longer than anybody waits for an answer. Then it goes on, and whoever asks again joins it.
 */
export class LongRedrives {
  readonly #queue: Pick<DurableQueue, 'redrive'>
  readonly #redrives = new Map<string, Redrive>()

  constructor(queue: Pick<DurableQueue, 'redrive'>) {
    this.#queue = queue
  }

  /**
   * @param waitMs how long it is waited for; to its end if left out
   * @throws CqrsError CQRS_NOT_FOUND if there is no such queue or topic
   */
  async step(name: string, waitMs?: number): Promise<RedriveStep> {
    const last = this.#redrives.get(name)
    const redrive = last?.isRunning ? last : this.#begin(name, last)
    let timer: NodeJS.Timeout | undefined
    const waited = new Promise<void>((resolve) => {
      if (waitMs !== undefined) timer = setTimeout(resolve, waitMs)
    })
    try {
      await Promise.race([redrive.ended, waited])
    } finally {
      clearTimeout(timer)
    }
    const redriven = redrive.redriven - redrive.told
    redrive.told = redrive.redriven
    if (!redrive.isRunning) this.#forget(name, redrive)
    return { redriven, more: redrive.isRunning }
  }

  #begin(name: string, last: Redrive = NONE): Redrive {
    const ended = this.#queue
      .redrive(name, (moved) => {
        redrive.redriven += moved
      })
      .then(() => undefined)
      .finally(() => {
        redrive.isRunning = false
        if (redrive.redriven === redrive.told) this.#forget(name, redrive)
      })
    const redrive: Redrive = { isRunning: true, redriven: last.redriven - last.told, told: 0, ended }
    this.#redrives.set(name, redrive)
    // Whoever asks while it fails is told; if nobody does there is nobody to tell.
    ended.catch(() => {})
    return redrive
  }

  #forget(name: string, redrive: Redrive): void {
    if (this.#redrives.get(name) === redrive) this.#redrives.delete(name)
  }
}
