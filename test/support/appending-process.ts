import { openSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'

/*
 * A process that appends to an event log without end, to be disturbed: `appending-process.ts LOG REPORT FIRST`. Each
 * append has a key of its own, and is tried until it is stored. Meanwhile somebody reads the same state of the log for a
 * while, and then another one, so that some checkpoints do not reach the end of the write-ahead log. It reports to the file REPORT, a line each, written
 * before anything else can happen:
 *   stored KEY POSITION | refused KEY CODE
 */
const [path = '', report = '', first = '1'] = process.argv.slice(2)
const file = openSync(report, 'a')
const say = (line: string): void => void writeSync(file, `${line}\n`)

const log = openSqliteEventLog({ path, checkpointPages: 40, endsBehind: 8 })
const reader = new DatabaseSync(path, { readOnly: true })
const versions = new Map<string, number>()
for (let number = Number(first); ; ) {
  const [key, stream] = [`key-${number}`, `stream-${number % 5}`]
  try {
    const outcome = await log.append({
      stream,
      expectedVersion: versions.get(stream) ?? 0,
      events: [{ type: 'counted', schemaVersion: 1, data: { number, padding: 'x'.repeat(number % 3000) } }],
      metadata: { commandId: key, correlationId: key },
      idempotency: { key, fingerprint: key },
    })
    if (outcome.kind === 'version-conflict') {
      versions.set(stream, outcome.actualVersion)
      continue
    }
    const { position, version } = outcome.kind === 'appended' ? outcome : outcome.original
    versions.set(stream, version)
    say(`stored ${key} ${position}`)
    number += 1
    if (number % 5 > 0) continue
    reader.exec(reader.isTransaction ? 'COMMIT' : 'BEGIN; SELECT max(position) FROM events')
  } catch (error) {
    say(`refused ${key} ${(error as { code?: string }).code}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
