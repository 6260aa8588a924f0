import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { Interrupted, run } from './run.ts'
import { Screen } from './screen.ts'

const HELP = `
Starts the whole system on a folder of its own, adds 1,862 products over HTTP, sells 9,994 order lines, then compares
stock, revenue and alerts with a plain fold of the file. Kill a worker meanwhile (kill -9): they must still agree.

Exit codes:
  0    everything agrees, to the cent
  1    something differs, or could not be done; it says what
  2    an option is wrong
  130  stopped by Ctrl-C

Examples:
  npm run demo
  npm run demo -- --limit 100
  npm run demo -- --keep`

const program = new Command('npm run demo --')
  .description('A day in a superstore: real order lines through commands, events and views.')
  .option('-l, --limit <products>', 'sell only the first so many products', wholeNumber)
  .option('-c, --concurrency <requests>', 'requests under way at the same time', wholeNumber, 64)
  .option('-k, --keep', 'let the system run afterwards, to look around')
  .addHelpText('after', HELP)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))

program.parse()
const { limit, concurrency, keep = false } = program.opts<Options>()

interface Options {
  limit?: number
  concurrency: number
  keep?: boolean
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1 to 999,999.')
}

const now = () => performance.now()
const screen = new Screen(process.stdout, now)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stop.abort(new Interrupted(signal)))
}
const data = mkdtempSync(join(tmpdir(), 'cqrs-demo-'))
screen.line()
try {
  const agrees = await run({ screen, data, limit, concurrency, keep, stop, now })
  process.exitCode = agrees ? 0 : 1
} catch (error) {
  const reason: unknown = stop.signal.aborted ? stop.signal.reason : error
  const isInterrupted = reason instanceof Interrupted
  screen.stopped(isInterrupted ? 'Stopped; nothing is left running.' : String((reason as Error).message))
  process.exitCode = isInterrupted ? 130 : 1
} finally {
  rmSync(data, { recursive: true, force: true })
}
