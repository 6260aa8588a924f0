import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { systemClock } from '../../src/supervisor/clock.ts'
import { spawnChild } from '../../src/supervisor/spawn.ts'
import { stopRequested } from '../../src/supervisor/supervised.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'

/** Supervises stub children: `stub-supervisor.ts <journal> <name>[:crash]…`. Prints `ready` when all are. */
const [journal = '', ...names] = process.argv.slice(2)
const module = fileURLToPath(new URL('stub-child.ts', import.meta.url))
const stop = stopRequested(process)
const supervisor = new Supervisor({
  engine: undefined,
  workers: [
    names.map((entry) => {
      const [name = '', mode = 'serve'] = entry.split(':')
      return { name, module, args: [journal, name, mode] }
    }),
  ],
  spawn: spawnChild,
  clock: systemClock,
  policy: { backoffBaseMs: 50, backoffCapMs: 5_000, stableMs: 60_000, readyTimeoutMs: 20_000, hangMs: 3_000 },
  log: pino({ level: 'silent' }),
})
void supervisor.start().then(() => process.stdout.write('ready\n'))
await stop
await supervisor.stop(5_000)
process.exit(0)
