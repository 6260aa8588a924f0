import type { Config } from '../config/config.ts'
import { clientUrl } from '../config/load.ts'
import { dataPaths } from '../config/paths.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import { tryOwn } from '../sqlite/owner-lock.ts'
import { activeGenerations } from './inspect.ts'
import { processesOf, signal } from './processes.ts'
import type { FaultKind } from './schedule.ts'
import type { StormSystem } from './system.ts'

/** How often to check whether the system still runs, in milliseconds. */
const LOOK_MS = 250

const OUTSIDE = 'only a temporary system has a proxy between its workers and the engine'

/**
 * The system that `cqrs up` runs on the configured data folder. Faults can only hit its processes and its queue.
 *
 * @throws CqrsError CQRS_ENGINE_UNREACHABLE if there is none; CQRS_APP_INVALID if it runs another app
 */
export async function findRunningSystem(app: App, config: Config): Promise<StormSystem> {
  const lock = dataPaths(config.data).upLock
  const outcome = tryOwn(lock)
  if (outcome.held) outcome.lock.release()
  if (outcome.held || outcome.pid === undefined) {
    throw new CqrsError(
      'CQRS_ENGINE_UNREACHABLE',
      `No "cqrs up" runs on ${config.data}. Start it, or set CQRS_DATA to the data folder of the running one; ` +
        'or leave out --running to use a temporary system.',
    )
  }
  const { pid } = outcome
  await assertRuns(app, config.data)
  const ended = new AbortController()
  /** Whether it still runs. */
  const look = () => {
    if (signal(pid, 0)) return true
    clearInterval(timer)
    ended.abort(new Error(`cqrs up, process ${pid}, does not exist any more`))
    return false
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  return {
    kind: 'running',
    app,
    data: config.data,
    longMs: Math.round(1.3 * Math.max(config.hangMs, config.linkMs)),
    http: httpOf(config),
    impossible: new Map<FaultKind, string>([
      ['cut', OUTSIDE],
      ['stall', OUTSIDE],
      ['half-open', OUTSIDE],
      ['disk-full', 'only a temporary system has its own disk'],
    ]),
    pidsOf: (victim) => (look() ? processesOf(victim, pid) : []),
    linksOf: () => [],
    disk: undefined,
    ended: ended.signal,
    expectEnd() {},
    async restart() {
      throw new Error('a storm does not restart a supervisor that it did not start')
    },
  }
}

/** Refuses to hit a system that could not be checked at the end. */
async function assertRuns(app: App, data: string): Promise<void> {
  const active = await activeGenerations(app, data)
  const missing = [...app.projections.keys()].filter((name) => !active.has(name))
  if (missing.length === 0) return
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The system on ${data} has no view ${missing.join(', ')} of the app ${app.name}: it runs another app. Set CQRS_APP to the ` +
      'module that it was started with. No fault was inflicted.',
  )
}

function httpOf({ engine, http }: Config): string | undefined {
  if (!engine.httpEnabled || http.port === 0) return undefined
  return engine.embedded
    ? clientUrl('http', http.host, http.port)
    : clientUrl('http', new URL(engine.url).hostname, http.port)
}
