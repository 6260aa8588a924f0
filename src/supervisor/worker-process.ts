import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { systemId } from '../config/system-id.ts'
import { CqrsError } from '../kernel/errors.ts'
import { loadAppWithCode } from '../workers/code-of-app.ts'
import { CallsInFlight } from '../workers/link/calls-in-flight.ts'
import { connect, disconnect } from '../workers/link/connect.ts'
import { answersOverLink, connected } from '../workers/link/link.ts'
import { watchLink } from '../workers/link/link-watch.ts'
import { guarded, openOpsAccess } from '../workers/operator/ops-access.ts'
import { Metrics } from '../workers/process/metrics.ts'
import { ProcessReport } from '../workers/process/process-report.ts'
import { recordedTracing } from '../workers/process/recorded-tracing.ts'
import { relayTracing } from '../workers/process/tracing.ts'
import { startWatchdog } from '../workers/process/watchdog.ts'
import type { Role, RoleContext, RoleName, StartRole } from '../workers/role.ts'
import { giveSignsOfLife, type HostProcess, reportReady, stopRequested } from './supervised.ts'

/** The part of `shutdownMs` that is kept for closing the link, and for the supervisor, which kills what is late. */
const RESERVE_MS = 2_000

/** If the supervisor is gone, its successor may be starting already. Work in progress is delivered again anyway. */
const ORPHAN_STOP_MS = 1_000

/** Roles that start before the engine answers: views are brought up to date from the log while the engine is away. */
const WITHOUT_ENGINE: readonly RoleName[] = ['projections']

/** What {@link runWorker} needs. */
export interface WorkerProcessOptions {
  readonly roles: readonly RoleName[]
  readonly config: Config
  readonly starters: Readonly<Record<RoleName, StartRole>>
  readonly log: Logger
  readonly host: HostProcess
}

/**
 * Runs roles in this process, on one connection to the engine, until it is told to stop (see {@link stopRequested}).
 *
 * @returns when everything is closed; the caller then ends the process
 * @throws CqrsError if the app is invalid or a role cannot start
 */
export async function runWorker({ roles, config, starters, log, host }: WorkerProcessOptions): Promise<void> {
  const stop = stopRequested(host)
  const stopping = new AbortController()
  void stop.then(() => stopping.abort())
  const endWatchdog = startWatchdog({ limitMs: config.hangMs })
  const endSigns = giveSignsOfLife(host, config.hangMs)
  const { app, code } = await loadAppWithCode(config.app)
  const inFlight = new CallsInFlight()
  const iii = connect(config, `cqrs-${roles.join('-')}`, log, {
    stopping: stopping.signal,
    onLinkLost: () => inFlight.linkLost(),
  })
  const tracing = config.telemetry ? recordedTracing(() => Date.now()) : relayTracing()
  const linked = connected(iii)
  const metrics = new Metrics()
  metrics.collectProcess()
  const report = new ProcessReport(() => new Date())
  const [about] = guarded(
    [report.offered(metrics, systemId(config.data))],
    openOpsAccess(config, log),
    'read',
  )
  if (about) iii.registerFunction(about.id, about.handle, { metadata: { internal: true } })
  const running: Role[] = []
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => {})
  const startOne = async (name: RoleName) => {
    const fail = (error: unknown) => failure.reject(error)
    report.stands(name, 'starting')
    const context = {
      app,
      code,
      config,
      iii,
      inFlight,
      log: log.child({ role: name }),
      metrics,
      tracing,
      fail,
    }
    const stands: RoleContext['stands'] = (state, owns) => report.stands(name, state, owns)
    const met: RoleContext['met'] = (damage) => report.met(name, damage)
    running.push(await starters[name]({ ...context, stands, met, stopping: stopping.signal }))
  }
  // The SDK cannot be told to reconnect; a new process does connect.
  const deadLink = () =>
    failure.reject(
      new CqrsError(
        'CQRS_ENGINE_UNREACHABLE',
        `The link to the engine at ${config.engine.url} is open, but transmitted nothing for ${config.linkMs} ms ` +
          'while the engine answered others. This process ends, so that its successor opens a new link.',
      ),
    )
  // Otherwise the supervisor would kill the process again and again while the engine is away.
  const patienceMs = config.supervisor.readyTimeoutMs / 3
  const isReachable = () =>
    roles.every((name) => WITHOUT_ENGINE.includes(name))
      ? Promise.race([linked, delay(patienceMs, undefined, { ref: false })])
      : linked
  // A request that arrives as soon as this process reports that it is ready must find its routes.
  const isServing = async (started: readonly Promise<void>[]) => {
    await Promise.all([isReachable(), ...started])
    if (isLinked) await answersOverLink(iii, patienceMs)
  }
  let isLinked = false
  let endLinkWatch = () => {}
  let stopWithinMs = ORPHAN_STOP_MS
  try {
    const started = roles.map(async (name) => {
      if (!WITHOUT_ENGINE.includes(name)) await linked
      if (!stopping.signal.aborted) await startOne(name)
    })
    void linked.then(() => {
      isLinked = true
      if (stopping.signal.aborted) return
      endLinkWatch = watchLink({ iii, url: config.engine.url, limitMs: config.linkMs, onDead: deadLink })
    })
    await Promise.race([isServing(started), stop, failure.promise])
    if (!stopping.signal.aborted) {
      log.info({ roles, engine: config.engine.url }, 'ready')
      reportReady(host)
    }
    const reason = await Promise.race([stop, failure.promise])
    log.info({ reason }, 'stopping')
    if (reason !== 'supervisor-gone') stopWithinMs = Math.max(ORPHAN_STOP_MS, config.shutdownMs - RESERVE_MS)
  } finally {
    stopping.abort()
    endLinkWatch()
    await stopRoles(running, stopWithinMs, log)
    await disconnect(iii)
    endSigns()
    endWatchdog()
  }
}

async function stopRoles(roles: readonly Role[], withinMs: number, log: Logger): Promise<void> {
  const late = new AbortController()
  const stopped = Promise.allSettled(roles.map((role) => role.stop())).then((results) => {
    for (const result of results) {
      if (result.status === 'rejected') log.error({ err: result.reason }, 'a role did not stop cleanly')
    }
    late.abort()
  })
  const deadline = delay(withinMs, undefined, { signal: late.signal }).then(
    () => log.warn({ withinMs }, 'work in progress did not finish in time; it will be delivered again'),
    () => {},
  )
  await Promise.race([stopped, deadline])
}
