import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Boundary } from '../../src/boundaries.ts'

/** What is to happen to a process, and where. */
export interface Trap {
  /** Tells this trap from others. */
  readonly id: number
  readonly boundary: Boundary
  /** The projection or queue that the boundary must be about; any if left out. */
  readonly of?: string
  /** The how manyeth time it is reached. */
  readonly hit: number
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}

const PRELOAD = new URL('./boundary-preload.ts', import.meta.url).href

/** Kills or stops a real process exactly where it has got to a boundary of src/boundaries.ts. */
export class BoundaryTrap {
  readonly #path: string
  #id = 0

  /** @param path of a file that the process is told by; it is made here */
  constructor(path: string) {
    this.#path = path
    this.clear()
    writeFileSync(`${path}.reached`, '')
  }

  /** What the process must be started with. */
  get env(): Readonly<Record<string, string>> {
    return { NODE_OPTIONS: `--import ${PRELOAD}`, TEST_BOUNDARY_TRAP: this.#path }
  }

  /** Sets the trap: SIGKILL at the next time unless said otherwise. It replaces the one before. */
  set(boundary: Boundary, trap: Partial<Omit<Trap, 'id' | 'boundary'>> = {}): void {
    this.#id += 1
    this.#write(JSON.stringify({ hit: 1, signal: 'SIGKILL', ...trap, boundary, id: this.#id } satisfies Trap))
  }

  clear(): void {
    this.#write('')
  }

  /** Whether the process has walked into the trap that was set last. */
  get sprung(): boolean {
    return readFileSync(`${this.#path}.reached`, 'utf8').split('\n').includes(String(this.#id))
  }

  /** The process reads the file at any time: it must be whole. */
  #write(text: string): void {
    writeFileSync(`${this.#path}.next`, text)
    renameSync(`${this.#path}.next`, this.#path)
  }
}
