import type { Logger } from 'pino'
import { unknownVariables } from '../../config/load.ts'
import { isCqrsError } from '../../kernel/errors.ts'
import { EXIT, exitCodeOf } from '../../supervisor/exit-codes.ts'
import type { CliContext } from './context.ts'

/**
 * Runs something that lasts until it is told to stop. What goes wrong is logged, so that it stands in the
 * same stream and format as everything that led to it; what nobody caught ends the process.
 *
 * @param name what the logger and the process are called
 * @param run resolves with the exit code, or nothing for success
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
    // Without a supervisor somebody sits at the terminal: the program says it in a plain line.
    if (isCqrsError(err) && !context.process.send) throw err
    log.fatal({ err }, isCqrsError(err) ? err.message : 'failed unexpectedly')
    context.exit(exitCodeOf(err))
  }
}

/** Says of each variable that looks like a setting and is none that it does nothing. */
export function warnOfUnknownVariables({ process }: CliContext, log: Logger): void {
  for (const { name, nearest } of unknownVariables({ env: process.env, cwd: process.cwd() })) {
    const advice = nearest ? `Did you mean ${nearest}?` : 'iii.config.yaml shows the settings there are.'
    log.warn({ variable: name }, `The environment variable ${name} is no setting and does nothing. ${advice}`)
  }
}
