import { styleText } from 'node:util'

/** Where the demo writes. */
export type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

type Style = Parameters<typeof styleText>[0]

/** How often a progress bar is drawn at most, in milliseconds. */
const REDRAW_MS = 80

/** Lines, and below them on a terminal a progress bar that moves; elsewhere a line at every quarter. */
export class Screen {
  readonly #output: Output
  readonly #now: () => number
  #bar = ''
  #drawnAt = Number.NEGATIVE_INFINITY
  #quarter = 0

  constructor(output: Output, now: () => number) {
    this.#output = output
    this.#now = now
  }

  get isTerminal(): boolean {
    return this.#output.isTTY === true
  }

  /** Writes a line above the progress bar, if there is one. */
  line(text = ''): void {
    this.#output.write(`${this.#bar && CLEAR}${text && `  ${text}`}\n${this.#bar}`)
  }

  /** A phase with its figures, e.g. `Sales   4.2 s   7,989 accepted`; takes the progress bar away. */
  phase(name: string, seconds: number, text: string): void {
    this.#endProgress()
    this.line(`${this.style('bold', name.padEnd(9))} ${`${seconds.toFixed(1)} s`.padStart(7)}   ${text}`)
  }

  /** Says how far a phase is. */
  progress(name: string, done: number, total: number): void {
    if (!this.isTerminal) {
      const quarter = Math.floor((4 * done) / total)
      if (quarter > this.#quarter && quarter < 4) this.line(`${name}: ${count(done)} of ${count(total)}`)
      this.#quarter = quarter
      return
    }
    if (done < total && this.#now() - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = this.#now()
    const width = Math.max(10, Math.min(40, (this.#output.columns || 80) - 40))
    const filled = Math.floor((width * done) / total)
    const bar = this.style('green', '█'.repeat(filled)) + this.style('dim', '░'.repeat(width - filled))
    this.#bar = `${CLEAR}  ${this.style('bold', name.padEnd(9))} ${bar} ${count(done)} of ${count(total)}`
    this.#output.write(this.#bar)
  }

  /** Takes the progress bar away and says why nothing follows. */
  stopped(why: string): void {
    this.#endProgress()
    this.line(why)
  }

  /** Styled on a terminal, plain elsewhere or when NO_COLOR is set. */
  style(style: Style, text: string): string {
    return this.isTerminal ? styleText(style, text) : text
  }

  #endProgress(): void {
    if (this.#bar) this.#output.write(CLEAR)
    this.#bar = ''
    this.#drawnAt = Number.NEGATIVE_INFINITY
    this.#quarter = 0
  }
}

const CLEAR = '\r\u001b[K'

/** `1234567` as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** Cents as dollars: `123456` as `$1,234.56`. */
export function dollars(cents: number): string {
  const whole = Math.trunc(cents / 100)
  return `$${count(whole)}.${String(Math.abs(cents % 100)).padStart(2, '0')}`
}
