import { type Logger, pino } from 'pino'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { createLogger } from '../../config/logger.ts'
import type { HostProcess } from '../../supervisor/supervised.ts'

/** The part of Node's `process` that the program uses. */
export type CliProcess = HostProcess & {
  readonly env: NodeJS.ProcessEnv
  readonly stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>
  readonly stderr: Pick<NodeJS.WriteStream, 'write'>
  readonly stdin: AsyncIterable<Buffer>
  cwd(): string
  title: string
  exit(code: number): never
}

/** What each command works with. */
export interface CliContext {
  readonly process: CliProcess
  /** Loads the configuration, once. @throws CqrsError CQRS_CONFIG_INVALID */
  config(): Config
  /** The logger of a long-running process. */
  logger(name: string): Logger
  /** Logs nothing, for commands that answer on standard output. */
  readonly silent: Logger
  /** Width of the terminal in characters; infinite for a pipe or a file. */
  readonly width: number
  /** Prints a line to standard output. */
  print(line: string): void
  /** Resolves when everything printed so far has been handed to the reader, who may be slower than this program. */
  printed(): Promise<void>
  /** Prints a line to standard error. */
  warn(line: string): void
  /** Sets the exit code. */
  exit(code: number): void
}

/** Creates the context of one run; `setExitCode` receives what {@link CliContext.exit} is called with. */
export function createContext(host: CliProcess, setExitCode: (code: number) => void): CliContext {
  let config: Config | undefined
  const load = () => (config ??= loadConfig({ env: host.env, cwd: host.cwd() }))
  return {
    process: host,
    config: load,
    logger: (name) => createLogger(load(), name),
    silent: pino({ level: 'silent' }),
    // Read each time: the terminal may be resized while something is being watched.
    get width() {
      return (host.stdout.isTTY && host.stdout.columns) || Number.POSITIVE_INFINITY
    },
    print: (line) => void host.stdout.write(`${line}\n`),
    printed: () => new Promise((resolve) => host.stdout.write('', () => resolve())),
    warn: (line) => void host.stderr.write(`${line}\n`),
    exit: setExitCode,
  }
}
