import type { ChildEvents, ChildSpec, SpawnChild } from '../../src/supervisor/spawn.ts'
import type { ReadyMessage } from '../../src/supervisor/supervised.ts'

/** One pretended process. */
export class FakeProcess {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly signals: NodeJS.Signals[] = []
  readonly #events: ChildEvents
  /** Whether SIGTERM ends it; SIGKILL always does. */
  obedient = true

  constructor(spec: ChildSpec, events: ChildEvents) {
    this.name = spec.name
    this.env = spec.env?.() ?? {}
    this.#events = events
  }

  ready(message: Partial<ReadyMessage> = {}): void {
    this.#events.ready({ kind: 'ready', ...message })
  }

  alive(): void {
    this.#events.alive()
  }

  exit(code: number | null = null, signal: NodeJS.Signals | null = code === null ? 'SIGKILL' : null): void {
    this.#events.exited({ code, signal })
  }

  receive(signal: NodeJS.Signals): void {
    this.signals.push(signal)
    if (signal === 'SIGKILL' || this.obedient) this.exit(null, signal)
  }
}

/** Pretends to start processes and keeps them for the test. */
export class FakeProcesses {
  readonly all: FakeProcess[] = []

  readonly spawn: SpawnChild = (spec, events) => {
    const process = new FakeProcess(spec, events)
    this.all.push(process)
    return { pid: this.all.length, kill: (signal) => process.receive(signal) }
  }

  /** The latest process of that name. */
  latest(name: string): FakeProcess {
    const found = this.all.findLast((process) => process.name === name)
    if (!found) throw new Error(`${name} was not started`)
    return found
  }

  /** How often a process of that name was started. */
  starts(name: string): number {
    return this.all.filter((process) => process.name === name).length
  }
}
