import { Writable } from 'node:stream'
import { isatty } from 'node:tty'
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino'
import { build as pretty } from 'pino-pretty'
import { isCqrsError } from '../kernel/errors.ts'
import type { Config } from './config.ts'
import { openOutput } from './output.ts'

const STDERR = 2

/**
 * Creates the logger of a process. It writes to standard error, so that standard output is left to results: JSON, or
 * coloured lines on a terminal. Each role logs through a child of it.
 *
 * @param name what the process is, e.g. `commands`
 */
export function createLogger(config: Pick<Config, 'log'>, name: string): Logger {
  const { level, format } = config.log
  const isPretty = format === 'pretty' || (format === 'auto' && isatty(STDERR))
  const output = openOutput((lines) => {
    const msg = `${lines} lines of the log were dropped here or shortly before, because nobody read it in time`
    return isPretty
      ? `${msg}\n`
      : `${JSON.stringify({ level: 40, time: Date.now(), pid: process.pid, name, msg })}\n`
  })
  return pino(
    { name, level, base: { pid: process.pid }, serializers: { err: serializeError } },
    // Written before the next statement runs: the last lines before a crash are the most needed ones.
    isPretty
      ? pretty({
          destination: output ? asStream(output) : STDERR,
          sync: true,
          ignore: 'pid,hostname',
          singleLine: true,
          colorize: isatty(STDERR),
        })
      : (output ?? destination({ dest: STDERR, sync: true })),
  )
}

function asStream(output: DestinationStream): Writable {
  return new Writable({
    decodeStrings: false,
    write(text, _encoding, done) {
      output.write(String(text))
      done()
    },
  })
}

/** Our own errors are logged with code and message; a stack helps only for errors that nobody foresaw. */
function serializeError(error: Error): object {
  if (!isCqrsError(error)) return stdSerializers.err(error)
  const { code, message, details, cause } = error
  return {
    type: error.name,
    code,
    message,
    ...details,
    ...(cause instanceof Error && { cause: cause.message }),
  }
}
