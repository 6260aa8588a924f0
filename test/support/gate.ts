import { setImmediate as nextTurn } from 'node:timers/promises'
import { CqrsError } from '../../src/kernel/errors.ts'

/** How a gated call goes on: it runs; it fails, and nothing is done; or its process ends just before it, or just after it. */
export type Passage = 'runs' | 'fails' | 'ends before' | 'ends after'

/**
 * Holds up every call that one process makes, so that a test decides which call of which process is next
 * and where a process ends. What has ended never hears of its last call, and makes no other.
 */
export class Gate {
  #held: ((passage: Passage) => Promise<void>)[] = []
  #ended = false

  /** Calls that wait to be let through, in the order in which they came. */
  get held(): number {
    return this.#held.length
  }

  get ended(): boolean {
    return this.#ended
  }

  /** A stand-in for `target` whose asynchronous methods wait at this gate. */
  guard<Target extends object>(target: Target): Target {
    return new Proxy(target, {
      get: (_, name) => {
        const member = Reflect.get(target, name) as unknown
        if (typeof member !== 'function') return member
        // Answers at once, without a promise.
        if (name === 'isReplaced') return () => Reflect.apply(member, target, [])
        return (...given: unknown[]) => this.pass(() => Reflect.apply(member, target, given))
      },
    })
  }

  /** Waits at the gate, then does `call`. */
  pass<Result>(call: () => Result | Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return
      this.#held.push(async (passage) => {
        if (passage === 'ends before') return this.end()
        if (passage === 'fails') return reject(new CqrsError('CQRS_STORE_UNAVAILABLE', 'The disk fails.'))
        const outcome = await Promise.try(call).then(
          (result) => () => resolve(result),
          (error) => () => reject(error),
        )
        if (passage === 'ends after') return this.end()
        outcome()
      })
    })
  }

  /** Lets one of the calls that wait go on, and waits until its process has got to its next ones. */
  async release(which: number, passage: Passage = 'runs'): Promise<void> {
    const [call] = this.#held.splice(which % Math.max(1, this.#held.length), 1)
    await call?.(passage)
    await this.settle()
  }

  /** Waits until the process has got to its next calls: everything between two of them is a turn or two long. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) await nextTurn()
  }

  /** The process is gone. */
  end(): void {
    this.#ended = true
    this.#held = []
  }
}
