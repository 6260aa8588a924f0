import type { Logger } from 'pino'
import { unknownVariables } from '../../config/load.ts'
import { isCqrsError } from '../../kernel/errors.ts'
import { EXIT, exitCodeOf } from '../../supervisor/exit-codes.ts'
import type { CliContext } from './context.ts'

/**
 * Runs a service until it is told to stop. Failures are logged, so that they appear in the same stream and format as
 * everything before them. An error that nothing caught ends the process.
 *
 * @param name the name of the logger and of the process
 * @param run resolves with the exit code; undefined means success
 */
export async function runService(
  context: CliContext,
  name: string,
  run: (log: Logger) => Promise<number | undefined>,
): Promise<void> {
  const log = context.logger(name)
  context.process.title = `cqrs ${name}`
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    context.process.on(event, (err: unknown) => {
      log.fatal({ err }, 'failed unexpectedly')
      context.process.exit(EXIT.failed.code)
    })
  }
  try {
    context.exit((await run(log)) ?? EXIT.ok.code)
  } catch (err) {
    // Without a supervisor there is probably a person at the terminal: the program prints the error as a plain line.
    if (isCqrsError(err) && !context.process.send) throw err
    logEnd(log, err)
    context.exit(exitCodeOf(err))
  }
}

/** Logs why a service ends. One of our own errors is its message, which a reader should not get twice in one line. */
function logEnd(log: Logger, err: unknown): void {
  if (isCqrsError(err)) {
    const { code, details, cause, message } = err
    const causedBy = cause instanceof Error && { cause: cause.message }
    log.fatal({ err: { code, ...details, ...causedBy } }, message)
  } else log.fatal({ err }, 'failed unexpectedly')
}

/**
 * Warns about each environment variable that looks like a setting but is not: it has no effect.
 *
 * @param log of a service; a command that ends by itself prints the warning on standard error
 */
export function warnOfUnknownVariables({ process, warn }: CliContext, log?: Logger): void {
  for (const { name, nearest } of unknownVariables({ env: process.env, cwd: process.cwd() })) {
    const advice = nearest ? `Did you mean ${nearest}?` : 'iii.config.yaml lists the settings.'
    const text = `The environment variable ${name} is not a setting and has no effect. ${advice}`
    if (log) log.warn({ variable: name }, text)
    else warn(text)
  }
}
