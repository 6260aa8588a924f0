import { openSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'

/*
 * A process that writes to the record of operators without end, in turns through two handles, to be disturbed:
 * `acting-process.ts RECORD REPORT FIRST`. Meanwhile somebody reads older states of it, as in appending-process.ts. It reports
 * to the file REPORT, a line each, written before anything else can happen:
 *   stored OPERATION ID | refused OPERATION CODE
 */
const [path = '', report = '', first = '1'] = process.argv.slice(2)
const file = openSync(report, 'a')
const say = (line: string): void => void writeSync(file, `${line}\n`)

const open = () => openSqliteActionStore(path, { checkpointPages: 40 })
const stores = [open(), open()] as const
const reader = new DatabaseSync(path, { readOnly: true })
const padding = 'x'.repeat(3_000)
for (let number = Number(first); ; number += 1) {
  const operation = `ops::${number}`
  const action = { operation, input: padding, by: 'a test', from: 'here', begunAt: new Date().toISOString() }
  try {
    say(`stored ${operation} ${await (number % 2 ? stores[0] : stores[1]).begin(action)}`)
  } catch (error) {
    say(`refused ${operation} ${(error as { code?: string }).code}`)
  }
  if (number % 7 === 0) reader.exec(reader.isTransaction ? 'COMMIT' : 'BEGIN; SELECT max(id) FROM actions')
}
