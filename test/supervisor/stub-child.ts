import { appendFileSync } from 'node:fs'
import { giveSignsOfLife, reportReady, stopRequested } from '../../src/supervisor/supervised.ts'

/** A process for tests of the supervisor: notes each start with its pid in a file; `crash` dies at once. */
const [journal = '', name = '', mode = 'serve'] = process.argv.slice(2)
appendFileSync(journal, `${name} ${process.pid}\n`)
if (mode === 'crash') process.exit(1)
const stop = stopRequested(process)
giveSignsOfLife(process, 3_000)
reportReady(process)
const keepAlive = setInterval(() => {}, 60_000)
const reason = await stop
appendFileSync(journal, `${name} stops: ${reason}\n`)
clearInterval(keepAlive)
process.exit(0)
