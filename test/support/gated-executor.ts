import { CommandExecutor, type CommandOutcome } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { Gate } from './gate.ts'

/** A commands process whose every call of the log waits at a {@link Gate}. */
export class GatedExecutor {
  readonly gate = new Gate()
  readonly #executor: CommandExecutor

  constructor(log: EventLog) {
    const guarded = this.gate.guard(log)
    const pass = <Result>(call: () => Result) => this.gate.pass(call)
    const readStream = async function* (...given: Parameters<EventLog['readStream']>) {
      yield* await pass(() => log.readStream(...given))
    }
    this.#executor = new CommandExecutor({
      app: inventory,
      log: new Proxy(guarded, {
        get: (target, name) => (name === 'readStream' ? readStream : Reflect.get(target, name)),
      }),
      streamCacheSize: 2,
      // Whoever is told of a conflict tries again by itself, so that nothing waits for a timer.
      conflictRetries: 0,
      onAppended: () => undefined,
      now: () => new Date(0),
    })
  }

  /** Begins a command. `answered` hears of its outcome, unless the process ends before. */
  async begin(
    name: string,
    input: object,
    idempotencyKey: string,
    answered: (outcome: CommandOutcome) => void,
  ): Promise<void> {
    void this.#executor.execute(name, input, { commandId: idempotencyKey, idempotencyKey }).then(answered)
    await this.gate.settle()
  }

  /** Lets everything go on until nothing is under way. */
  async finish(): Promise<void> {
    while (!this.gate.ended && this.gate.held > 0) await this.gate.release(0)
  }
}
