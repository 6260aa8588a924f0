import type { DurableQueue } from '../../queue/queue.ts'

/** A redrive that is running, or that has ended while part of its result was not reported to anybody. */
interface Redrive {
  isRunning: boolean
  /** Redriven letters, including those of the previous redrive that were not reported to anybody. */
  redriven: number
  /** How many of those were reported to a caller. */
  told: number
  readonly ended: Promise<void>
}

const NONE: Redrive = { isRunning: false, redriven: 0, told: 0, ended: Promise.resolve() }

/** How many letters were redriven since the last report, and whether the redrive goes on. */
export interface RedriveStep {
  readonly redriven: number
  readonly more: boolean
}

/**
 * Redrives of all dead letters of a queue. All letters are put back in one go, since none may be delivered before the
 * older ones are back. With a million letters that takes longer than a caller waits for an answer. The redrive then
 * goes on, and the next call joins it.
 */
export class LongRedrives {
  readonly #queue: Pick<DurableQueue, 'redrive'>
  readonly #redrives = new Map<string, Redrive>()

  constructor(queue: Pick<DurableQueue, 'redrive'>) {
    this.#queue = queue
  }

  /**
   * @param waitMs how long to wait for the redrive, in milliseconds; if left out, to its end
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
    // A caller that waits while it fails gets the error. Without such a caller nobody needs it.
    ended.catch(() => {})
    return redrive
  }

  #forget(name: string, redrive: Redrive): void {
    if (this.#redrives.get(name) === redrive) this.#redrives.delete(name)
  }
}
