import { loadConfig } from '../config/load.ts'
import { createLogger } from '../config/logger.ts'
import { exitCodeOf } from '../supervisor/exit-codes.ts'
import { up } from '../supervisor/up.ts'
import { loadApp } from '../workers/load-app.ts'

/**
 * `cqrs up` for a storm: `up-process.ts <links>`. `links` is JSON with an address for each process name. At that
 * address the worker connects, through a proxy that can break its link.
 */
const links = JSON.parse(process.argv[2] ?? '{}') as Readonly<Record<string, string>>
process.title = 'cqrs up'
const config = loadConfig({ env: process.env, cwd: process.cwd() })
const log = createLogger(config, 'up')
try {
  const app = await loadApp(config.app)
  const print = (line: string) => log.info(line)
  process.exit(await up({ app, config, log, host: process, print, linkOf: (worker) => links[worker] }))
} catch (err) {
  log.fatal({ err }, 'failed')
  process.exit(exitCodeOf(err))
}
