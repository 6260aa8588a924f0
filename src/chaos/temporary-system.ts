import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, cpSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../config/load.ts'
import type { App } from '../kernel/app.ts'
import { CqrsError } from '../kernel/errors.ts'
import { freePort } from '../supervisor/ports.ts'
import { isReadyMessage } from '../supervisor/supervised.ts'
import { workerGroups } from '../supervisor/up.ts'
import { mountSmallDisk, type SmallDisk } from './disk.ts'
import { childrenOf } from './process-tree.ts'
import { processesOf, signal } from './processes.ts'
import type { FaultKind } from './schedule.ts'
import type { StormSystem } from './system.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { until } from './until.ts'

const UP = fileURLToPath(new URL('./up-process.ts', import.meta.url))

const HOST = '127.0.0.1'

/** Enough room for what some hundred thousand commands write, yet small enough to be filled within a moment. */
const DISK_BYTES = 512 * 1_048_576

/** How long the system may take to start, even while parts of an earlier one are still ending, in milliseconds. */
const UP_MS = 60_000

/** How long it may take to stop before it is killed, in milliseconds. */
const STOP_MS = 25_000

/**
 * Settings that differ from the defaults. A storm does in minutes what otherwise takes weeks. So waits that grow with
 * each death would grow for no reason. And the limits must tell what is slow from what hangs.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  CQRS_SUPERVISOR_BACKOFF_CAP_MS: '400',
  CQRS_HANG_MS: '4000',
  CQRS_LINK_MS: '3000',
  CQRS_LOG_FORMAT: 'json',
}

/** What {@link startTemporarySystem} takes. */
export interface TemporaryOptions {
  readonly app: App
  /**
   * The environment variables of its processes. Those for the folder and the ports are overridden; a storm's own
   * settings are only defaults.
   */
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly cwd: string
  /** Whether its data is on a disk that can be filled. */
  readonly smallDisk: boolean
}

/** A system that was started for a storm. */
export interface TemporarySystem extends StormSystem {
  readonly kind: 'temporary'
  /** Where workers connect. */
  readonly engine: string
  /** The folder with everything: the data, and what the system logged. */
  readonly folder: string
  /** Stops the system in an orderly way. @returns the exit code of `cqrs up`; null if it had to be killed */
  stop(): Promise<number | null>
  /** Kills what still runs and removes what was created; with `keep`, the folder stays. */
  dispose(options: { keep: boolean }): Promise<void>
}

/**
 * Starts `cqrs up` in a folder of its own, on free ports, with a proxy between each worker and the engine.
 *
 * @throws CqrsError CQRS_ENGINE_UNREACHABLE with the last lines of its log if it does not come up
 */
export async function startTemporarySystem(options: TemporaryOptions): Promise<TemporarySystem> {
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-chaos-'))
  const data = join(folder, 'data')
  const logFile = join(folder, 'system.log')
  const mounted = options.smallDisk ? await mountSmallDisk(data, DISK_BYTES) : undefined
  const disk: SmallDisk | undefined = mounted?.ok ? mounted.disk : undefined
  const enginePort = await freePort(HOST)
  const httpPort = await freePort(HOST, enginePort)
  const engine = `ws://${HOST}:${enginePort}`
  const env = {
    ...SETTINGS,
    ...options.env,
    CQRS_DATA: data,
    III_URL: 'embedded',
    III_HOST: HOST,
    III_PORT: String(enginePort),
    III_HTTP_HOST: HOST,
    III_HTTP_PORT: String(httpPort),
  }
  const config = loadConfig({ env, cwd: options.cwd })
  const workers = workerGroups(config).flat()
  const proxies = new Map<string, TcpProxy>()
  for (const { name } of workers) proxies.set(name, await TcpProxy.to(engine))
  const links = Object.fromEntries([...proxies].map(([name, { url }]) => [name, url]))
  let up: ChildProcess | undefined
  const ended = new AbortController()
  let expectsEnd = true

  const start = async (): Promise<void> => {
    const log = openSync(logFile, 'a', 0o600)
    const child = fork(UP, [JSON.stringify(links)], {
      cwd: options.cwd,
      env,
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    up = child
    const started = Promise.withResolvers<void>()
    child.on('message', (message) => isReadyMessage(message) && started.resolve())
    child.once('error', started.reject)
    child.once('exit', (code, by) => started.reject(new Error(`cqrs up ended (${code ?? by})`)))
    await started.promise
    expectsEnd = false
    child.once('exit', (code, by) => {
      if (expectsEnd) return
      ended.abort(new Error(code === null ? `${by} killed cqrs up` : `cqrs up ended with exit code ${code}`))
    })
  }
  let restarting: Promise<unknown> | undefined
  const restart = async (): Promise<void> => {
    // Faults that come together may kill it twice, and two starts at once would be in each other's way.
    restarting ??= until('the system is up', () => start().then(() => true), UP_MS)
    try {
      await restarting
    } finally {
      restarting = undefined
    }
  }

  const system: TemporarySystem = {
    kind: 'temporary',
    app: options.app,
    folder,
    data,
    longMs: Math.round(1.3 * Math.max(config.hangMs, config.linkMs)),
    http: `http://${HOST}:${httpPort}`,
    engine,
    disk,
    impossible: new Map<FaultKind, string>(
      mounted === undefined || mounted.ok ? [] : [['disk-full', mounted.why]],
    ),
    pidsOf: (victim) => (up?.pid === undefined || hasEnded(up) ? [] : processesOf(victim, up.pid)),
    linksOf: (victim) =>
      workers.filter(({ roles }) => roles[0] === victim).flatMap(({ name }) => proxies.get(name) ?? []),
    ended: ended.signal,
    expectEnd() {
      expectsEnd = true
    },
    restart,
    async stop() {
      expectsEnd = true
      if (!up || hasEnded(up)) return up?.exitCode ?? null
      const child = up
      const ended = new Promise((resolve) => child.once('exit', resolve))
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      child.kill('SIGTERM')
      await ended
      clearTimeout(timer)
      return child.exitCode
    },
    async dispose({ keep }) {
      expectsEnd = true
      if (up && !hasEnded(up)) await killAll(up)
      for (const proxy of proxies.values()) await proxy.close()
      if (keep && disk) cpSync(data, join(folder, 'kept'), { recursive: true })
      await disk?.unmount()
      if (!keep) rmSync(folder, { recursive: true, force: true })
      else if (disk) {
        rmSync(data, { recursive: true, force: true })
        renameSync(join(folder, 'kept'), data)
      }
    },
  }
  try {
    await restart()
    return system
  } catch (error) {
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-10).join('\n')
    await system.dispose({ keep: false })
    const message = `The temporary system did not start: ${(error as Error).message}. The last lines of its log:\n${lines}`
    throw new CqrsError('CQRS_ENGINE_UNREACHABLE', message, { cause: error })
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** Kills a supervisor and everything that it started. */
async function killAll(up: ChildProcess): Promise<void> {
  const pids = up.pid === undefined ? [] : childrenOf(up.pid).map(({ pid }) => pid)
  const ended = new Promise((resolve) => up.once('exit', resolve))
  up.kill('SIGKILL')
  for (const pid of pids) signal(pid, 'SIGKILL')
  await ended
}
