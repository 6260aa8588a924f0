import { existsSync, mkdirSync } from 'node:fs'
import type { Logger } from 'pino'
import { type Config, NO_APP } from '../config/config.ts'
import { NO_GUEST } from '../config/guest.ts'
import { dataPaths } from '../config/paths.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import { toStoreError } from '../sqlite/errors.ts'
import { unfitFileSystem } from '../sqlite/file-system.ts'
import { type OwnerLock, tryOwn } from '../sqlite/owner-lock.ts'
import type { RoleName } from '../workers/role.ts'
import { systemClock } from './clock.ts'
import { EXIT } from './exit-codes.ts'
import { migrateFirst } from './migrate-stores.ts'
import { assertPortsFree, neededPorts } from './ports.ts'
import { type ChildSpec, CLI, spawnChild } from './spawn.ts'
import { type EngineAddresses, type HostProcess, reportReady, stopRequested } from './supervised.ts'
import { Supervisor } from './supervisor.ts'
import { welcome } from './welcome.ts'

/** A signal that arrives at least this long after the first one kills what still runs, in milliseconds. */
const SECOND_SIGNAL_MS = 500

/** What {@link up} needs. */
export interface UpOptions {
  readonly app: App
  readonly config: Config
  readonly log: Logger
  readonly host: HostProcess
  /** Prints a line for people. */
  print(line: string): void
  /** The address to which a worker connects, if it is not the engine's own: something may be in between. */
  linkOf?(worker: string): string | undefined
}

/**
 * Runs the whole system: the engine (unless one runs elsewhere) and every role, each as a process of its own. A process
 * that dies is restarted. Ends when it is told to stop; a second signal kills what is left. If another process started
 * this one with an IPC channel, it is told when everything is ready, and this one ends when that process does.
 *
 * @returns the exit code
 * @throws CqrsError CQRS_STORE_LOCKED, CQRS_PORT_TAKEN, or a store error of the data folder; CQRS_CONFIG_INVALID for a
 *   guest without a host
 */
export async function up({ app, config, log, host, print, linkOf }: UpOptions): Promise<number> {
  assertHasHost(config)
  const stop = stopRequested(host)
  const ports = config.engine.embedded ? neededPorts(config) : []
  // A start that is refused leaves no folder behind. If there is one, another "cqrs up" on it may have the ports, and
  // then its lock says so.
  if (!existsSync(config.data)) await assertPortsFree(ports)
  const lock = ownDataFolder(config.data)
  try {
    await assertPortsFree(ports)
    if (!config.engine.embedded)
      print(`III_URL is set: the workers use the engine at ${config.engine.url}, and none is started here.`)
    await migrateFirst({ data: config.data, app, stop })
    let engine: EngineAddresses | undefined
    const supervisor = new Supervisor({
      ...children(config, () => engine, linkOf),
      spawn: spawnChild,
      clock: systemClock,
      policy: { ...config.supervisor, hangMs: config.hangMs },
      log,
      onEngine: (addresses) => (engine = addresses),
    })
    const outcome = await Promise.race([supervisor.start(), stop])
    if (typeof outcome === 'object' && outcome.ready) {
      const unfit = unfitFileSystem(config.data)
      for (const line of welcome({ app, config, engine, unfit })) print(line)
      reportReady(host, engine)
    }
    const refused = typeof outcome === 'object' && !outcome.ready ? outcome : undefined
    if (refused)
      log.fatal({ child: refused.child, ...refused.exit }, 'cannot start; its own message is above')
    else await stop
    if (!refused) print('Stopping.')
    // One Ctrl-C can arrive twice, from the terminal and from npm; only a later signal is meant as a second one.
    const cancelSecond = systemClock.after(SECOND_SIGNAL_MS, () => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) host.once(signal, () => supervisor.kill())
    })
    await supervisor.stop(config.shutdownMs)
    cancelSecond()
    return refused?.exit.code ?? EXIT.ok.code
  } finally {
    lock.release()
  }
}

function assertHasHost({ app, engine, guest }: Config): void {
  if (guest === NO_GUEST) return
  if (engine.embedded) {
    const message = `CQRS_GUEST is ${guest}, but there is no engine to be a guest on. Set III_URL to the engine of the other system.`
    throw new CqrsError('CQRS_CONFIG_INVALID', message)
  }
  if (app !== NO_APP) return
  const message = `CQRS_GUEST is ${guest}, but there is no app (CQRS_APP=none), and a guest has no queue: nothing is left to run.`
  throw new CqrsError('CQRS_CONFIG_INVALID', message)
}

function ownDataFolder(data: string): OwnerLock {
  const path = dataPaths(data).upLock
  try {
    const outcome = tryOwn(path)
    if (outcome.held) {
      // Code is run from this folder, so create it here with mode 0700: Node would let everybody write to it if the
      // umask allows.
      mkdirSync(dataPaths(data).compileCache, { recursive: true, mode: 0o700 })
      return outcome.lock
    }
    const who = outcome.pid === undefined ? '' : ` (process ${outcome.pid})`
    throw new CqrsError(
      'CQRS_STORE_LOCKED',
      `Another "cqrs up"${who} runs on ${data}. Stop it first, or choose another folder with CQRS_DATA=<folder> ` +
        'and other ports with III_PORT and III_HTTP_PORT.',
      { details: { data, pid: outcome.pid } },
    )
  } catch (error) {
    const known = toStoreError(error, path)
    if (isCqrsError(known)) throw known
    throw new CqrsError(
      'CQRS_STORE_UNAVAILABLE',
      `The data folder ${data} cannot be used: ${(error as Error).message}. Check its permissions, or choose another one with CQRS_DATA=<folder>.`,
      { cause: error },
    )
  }
}

/** One worker process of a system. */
interface WorkerProcess {
  readonly name: string
  readonly roles: readonly RoleName[]
}

/**
 * The worker processes of a system in groups; the groups are asked to stop one after the other, the last one first.
 * Without an app there is only a queue to run and to operate. A guest uses the queue of the engine's own system.
 */
export function workerGroups({
  app,
  guest,
  projections,
}: Pick<Config, 'app' | 'guest' | 'projections'>): WorkerProcess[][] {
  const worker = (...roles: RoleName[]): WorkerProcess => ({ name: roles.join('+'), roles })
  if (app === NO_APP) return [[worker('queue')], [worker('operator')]]
  const sharing = Array.from({ length: projections.workers }, (_, index): WorkerProcess => {
    return { name: index === 0 ? 'projections' : `projections-${index + 1}`, roles: ['projections'] }
  })
  return [
    [...(guest === NO_GUEST ? [worker('queue')] : []), ...sharing],
    [worker('commands'), worker('queries', 'operator')],
  ]
}

/**
 * The processes to run. Workers get the address at which the engine really listens. An engine that is restarted takes
 * the same ports as before, whatever was configured.
 */
function children(config: Config, engine: () => EngineAddresses | undefined, linkOf: UpOptions['linkOf']) {
  // Compiling modules is most of what a process does before it serves; Node keeps the result for the next process. It
  // is not kept in the folder for temporary files, Node's default: code that is run should be where only we can write.
  const defaults = { NODE_COMPILE_CACHE: dataPaths(config.data).compileCache }
  const engineSpec: ChildSpec = {
    name: 'engine',
    module: CLI,
    defaults,
    args: ['engine'],
    env: (): Record<string, string> => {
      const before = engine()
      if (!before) return {}
      return {
        III_PORT: String(before.port),
        ...(before.httpPort !== undefined && { III_HTTP_PORT: String(before.httpPort) }),
      }
    },
  }
  const workerSpec = ({ name, roles }: WorkerProcess): ChildSpec => ({
    name,
    module: CLI,
    defaults,
    args: ['worker', ...roles],
    env: () => ({ III_URL: linkOf?.(name) ?? engine()?.url ?? config.engine.url }),
  })
  return {
    engine: config.engine.embedded ? engineSpec : undefined,
    workers: workerGroups(config).map((group) => group.map(workerSpec)),
  }
}
