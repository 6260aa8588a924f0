import { runCli } from './operator/cli/program.ts'

/**
 * Error codes of a write whose reader, like `head`, has seen enough and closed its end; `ECONNRESET` if it closes
 * during the write.
 */
const READER_GONE = ['EPIPE', 'ECONNRESET']

process.stdout.on('error', ({ code }: NodeJS.ErrnoException) =>
  process.exit(READER_GONE.includes(code ?? '') ? 0 : 1),
)
process.exit(await runCli(process.argv.slice(2), process))
