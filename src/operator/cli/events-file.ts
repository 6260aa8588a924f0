import { constants, createReadStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { hostname } from 'node:os'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { CqrsError } from '../../kernel/errors.ts'
import { EventFileWriter } from '../../log/interchange.ts'
import { EXIT } from '../../supervisor/exit-codes.ts'
import { assertStretch } from '../events.ts'
import type { CliContext } from './context.ts'
import { assertIsNew, writeNewFile } from './new-file.ts'
import { type CallOperation, withOperations } from './operations.ts'
import { count } from './table.ts'
import { wholeNumber } from './values.ts'

/** Events fetched in one call. */
const PAGE = 500

interface ExportOptions {
  readonly from: number
  readonly to?: number
  readonly overwrite?: true
}

/** `cqrs events export`. */
export function exportCommand(context: CliContext): Command {
  const position = wholeNumber(1, Number.MAX_SAFE_INTEGER)
  return new Command('export')
    .description('Write the log, or a part of it, to a file that can be imported.')
    .argument('<file>', 'the file to write; - for standard output')
    .option('--from <position>', 'the first position', position, 1)
    .option('--to <position>', 'the last position; the end of the log if left out', position)
    .option('--overwrite', 'replace an existing file of this name')
    .addHelpText(
      'after',
      `
The file has one line of JSON per event, and a checksum. It appears only when it is complete; a file that it replaces stays
until then.

Examples:
  cqrs events export events.ndjson
  cqrs events export --from 1001 - | gzip > later.ndjson.gz`,
    )
    .action(async (file: string, options: ExportOptions) => {
      const overwrite = options.overwrite ?? false
      if (file !== '-' && !overwrite) await assertIsNew(file)
      await withOperations(context, async (call) => {
        let exported = 0
        const pieces = exportPieces(call, options, (events) => {
          exported += events
        })
        const conclude = (what: string) => context.warn(`${count(exported)} events exported${what}.`)
        if (file === '-') {
          await pipeline(pieces, toStandardOutput(context))
          return conclude('')
        }
        await writeNewFile(file, pieces, { overwrite })
        conclude(` to ${file}`)
      })
    })
}

/** `cqrs events import`. */
export function importCommand(context: CliContext): Command {
  return new Command('import')
    .description('Append the events of a file to the log of the data folder, while the system is stopped.')
    .argument('<file>', 'a file of "cqrs events export"; - for standard input')
    .option('--other-app', 'accept a file from an app with another name')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Positions, ids, versions and times stay the same, so the file has to begin where the log ends; for an empty log, at position
1. A file is imported whole or not at all; if the import is interrupted, start it again. Idempotency keys are not in the file.

Examples:
  CQRS_DATA=./new cqrs events import events.ndjson
  gunzip -c later.ndjson.gz | cqrs events import -`,
    )
    .action(async (file: string, options: { otherApp?: true; json?: boolean }) => {
      const { importOffline } = await import('../../workers/import-events.ts')
      const { loadApp } = await import('../../workers/load-app.ts')
      const config = context.config()
      await assertReadable(file)
      const app = await loadApp(config.app)
      const { env, stdout, stdin } = context.process
      const result = await importOffline({
        config,
        bytes: file === '-' ? stdin : createReadStream(file),
        name: file,
        app,
        otherApp: options.otherApp ?? false,
        operator: { by: env.USER || 'operator', from: `cli on ${hostname()}` },
        onProgress(events, of) {
          if (stdout.isTTY) stdout.write(`\r\x1b[K${count(events)} of ${count(of)}`)
        },
      })
      if (stdout.isTTY) stdout.write('\r\x1b[K')
      if (result.otherEvents) {
        context.exit(EXIT.failed.code)
        context.warn(
          'These views were made from other events than the log has now. Before you start the system, move their files away, ' +
            `with -wal and -shm; the views are then rebuilt.\n  ${result.otherEvents.join('\n  ')}`,
        )
      }
      if (options.json) return context.print(JSON.stringify(result, null, 2))
      context.print(`${count(result.imported)} events imported; the log ends at ${count(result.head)} now.`)
    })
}

async function* exportPieces(
  call: CallOperation,
  { from, to: wanted }: ExportOptions,
  onEvents: (events: number) => void,
): AsyncGenerator<string> {
  const { app, head } = await call('ops::status', {})
  const to = wanted ?? head
  assertStretch(from, to, head)
  const file = new EventFileWriter()
  yield file.begin({ app, from, to })
  for (let after = from - 1; after < to; ) {
    const page = await call('ops::events', { after, limit: Math.min(PAGE, to - after) })
    yield file.events(page.events)
    onEvents(page.events.length)
    after = page.next
  }
  yield file.end()
}

async function assertReadable(file: string): Promise<void> {
  if (file === '-') return
  try {
    await access(file, constants.R_OK)
  } catch (cause) {
    throw new CqrsError('CQRS_IMPORT_INVALID', `${file} cannot be read: ${(cause as Error).message}.`, {
      cause,
    })
  }
}

function toStandardOutput({ process }: CliContext): Writable {
  return new Writable({
    write(piece: Buffer, _encoding, done) {
      process.stdout.write(piece, done)
    },
  })
}
