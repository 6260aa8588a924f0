import { runCli } from './operator/cli/program.ts'

/** What a write is answered with when the reader has seen enough, like `head`, and closed its end; the second one during the write. */
const READER_GONE = ['EPIPE', 'ECONNRESET']

process.stdout.on('error', ({ code }: NodeJS.ErrnoException) =>
  process.exit(READER_GONE.includes(code ?? '') ? 0 : 1),
)
process.exit(await runCli(process.argv.slice(2), process))
