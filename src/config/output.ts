import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import type { DestinationStream } from 'pino'

const STDERR = 2

/** The most bytes that are kept for a slow reader. */
const MOST_WAITING = 1_048_576

/** How long to wait before trying again while the reader takes nothing, in milliseconds. */
const AGAIN_MS = 20

/**
 * The same while the reader does take something, in milliseconds: a terminal takes a few thousand characters at a time.
 */
const GOES_ON_MS = 1

/** At the end of the process: how long to wait for the reader since it last took something, in milliseconds. */
const LAST_MS = 1_000

/**
 * Opens standard error so that writes do not wait for the reader. A pager, a terminal stopped with Ctrl-S, or a hanging
 * connection reads nothing. A plain write would then block the whole process, including the part that is meant to
 * notice such a standstill. Unread text is kept, up to a limit; beyond that, lines are dropped, and a line says how
 * many are missing.
 *
 * Standard error is opened a second time, because whether writes wait is a property of each opening, and the inherited
 * opening is shared with other processes. That is possible for pipes and terminals, on Linux.
 *
 * @param missing makes the line that says how many lines are missing
 * @returns undefined where this is not possible
 */
export function openOutput(missing: (lines: number) => string): DestinationStream | undefined {
  try {
    if (!isatty(STDERR) && !fstatSync(STDERR).isFIFO()) return undefined
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return new PatientOutput(openSync(`/proc/self/fd/${STDERR}`, O_WRONLY | O_NONBLOCK | O_NOCTTY), missing)
  } catch {
    return undefined
  }
}

class PatientOutput implements DestinationStream {
  readonly #fd: number
  readonly #missing: (lines: number) => string
  #waiting: Buffer[] = []
  #bytes = 0
  #dropped = 0
  #timer: NodeJS.Timeout | undefined

  constructor(fd: number, missing: (lines: number) => string) {
    this.#fd = fd
    this.#missing = missing
    process.once('exit', () => this.#flushForGood())
  }

  write(text: string): void {
    const bytes = Buffer.from(text)
    const left = this.#waiting.length > 0 ? bytes : this.#put(bytes)
    if (left === undefined) return
    // A line that was written in part is always completed.
    if (left.length === bytes.length && this.#bytes + left.length > MOST_WAITING) this.#dropped += 1
    else this.#keep(left)
    this.#timer ??= setTimeout(() => this.#goOn(), AGAIN_MS).unref()
  }

  #keep(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
  }

  #goOn(): void {
    const pause = this.#flush()
    this.#timer = pause === undefined ? undefined : setTimeout(() => this.#goOn(), pause).unref()
  }

  /** @returns how long to wait before the next try, in milliseconds; undefined if nothing waits any more */
  #flush(): number | undefined {
    const before = this.#bytes
    for (let [first] = this.#waiting; first; [first] = this.#waiting) {
      const left = this.#put(first)
      this.#bytes -= first.length - (left?.length ?? 0)
      if (left !== undefined) {
        this.#waiting[0] = left
        return this.#bytes < before ? GOES_ON_MS : AGAIN_MS
      }
      this.#waiting.shift()
    }
    if (this.#dropped === 0) return undefined
    this.#keep(Buffer.from(this.#missing(this.#dropped)))
    this.#dropped = 0
    return GOES_ON_MS
  }

  #flushForGood(): void {
    const clock = new Int32Array(new SharedArrayBuffer(4))
    for (let waited = 0; this.#waiting.length > 0 && waited < LAST_MS; ) {
      const pause = this.#flush()
      if (pause === undefined) return
      Atomics.wait(clock, 0, 0, pause)
      waited = pause === GOES_ON_MS ? 0 : waited + pause
    }
  }

  /** @returns the bytes that are left; undefined if none are, or if nobody will ever read them */
  #put(bytes: Buffer): Buffer | undefined {
    let done = 0
    try {
      while (done < bytes.length) done += writeSync(this.#fd, bytes, done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return bytes.subarray(done)
    }
    return undefined
  }
}
