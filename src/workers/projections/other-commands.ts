import type { Logger } from 'pino'
import { CqrsError } from '../../kernel/errors.ts'
import { COMMAND, isCommand } from '../link/refused-command.ts'

/**
 * The longest time between two calls that counts as absence, in milliseconds. Whether the command was there while nobody
 * called it, as during a pause of the view, is not known.
 */
const MAX_GAP_MS = 10_000

export interface OtherCommandsOptions {
  /** The commands of this app, by their names. */
  readonly commands: ReadonlyMap<string, unknown>
  /** How long a command that this app does not define may be absent before an effect that calls it fails. */
  readonly limitMs: number
  /** A clock that never jumps, in milliseconds. */
  monotonic(): number
  readonly log: Pick<Logger, 'warn'>
}

/**
 * The commands that effects call and that this app does not define. Such a command can belong to another app on the same
 * engine, which may be away for a while, or to nobody, because its name is misspelled. Only time can tell, so the absence
 * of each is measured. It is not stored: after a restart of this process it begins anew.
 */
export class OtherCommands {
  readonly #options: OtherCommandsOptions
  /** How long each has been absent, and when it was last called, in milliseconds. */
  readonly #absent = new Map<string, { readonly forMs: number; readonly at: number }>()

  constructor(options: OtherCommandsOptions) {
    this.#options = options
  }

  /** Notes that a function was called, and that somebody offers it. */
  met(functionId: string): void {
    this.#absent.delete(functionId)
  }

  /**
   * Notes that a function was called, and that nobody offers it.
   *
   * @throws CqrsError CQRS_UNKNOWN_COMMAND if it is a command that this app does not define, and has been absent for as
   *   long as the limit
   */
  missed(functionId: string): void {
    const { commands, limitMs, monotonic, log } = this.#options
    if (!isCommand(functionId)) return
    const name = functionId.slice(COMMAND.length)
    if (commands.has(name)) return
    const at = monotonic()
    let before = this.#absent.get(functionId)
    // What was absent for the limit, and then was not called for as long again, is likely to have been there meanwhile.
    if (before && before.forMs >= limitMs && at - before.at > Math.max(limitMs, MAX_GAP_MS))
      before = undefined
    const forMs = before ? before.forMs + Math.min(at - before.at, MAX_GAP_MS) : 0
    this.#absent.set(functionId, { forMs, at })
    const own = `This app has no command ${name}; it has: ${[...commands.keys()].join(', ')}.`
    if (forMs >= limitMs) {
      throw new CqrsError(
        'CQRS_UNKNOWN_COMMAND',
        `${own} No other app on this engine has offered it for ${limitMs / 1_000} s either. If it belongs to another app, start ` +
          'that one, then redrive this effect. If the name is wrong, correct it in the reactor; do by hand what this effect ' +
          'should have done; then discard it.',
      )
    }
    if (before) return
    log.warn(
      { function: functionId, limitMs },
      `${own} Effects that call it wait for another app on this engine to offer it, and fail after ${limitMs / 1_000} s`,
    )
  }
}
