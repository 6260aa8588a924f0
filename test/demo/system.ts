import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isReadyMessage, type ReadyMessage } from '../../src/supervisor/supervised.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../../src/cqrs.js', import.meta.url))
const APP = fileURLToPath(new URL('../../src/inventory/app.ts', import.meta.url))

/** How long the system may take to serve, in milliseconds. */
const START_MS = 60_000

/** The whole system, running in processes of its own. */
export interface System {
  readonly httpUrl: string
  readonly engineUrl: string
  /** Stops every process. @returns when they are gone */
  stop(): Promise<void>
}

export interface StartOptions {
  /** The data folder. */
  readonly data: string
  /** Whether warnings are read by a person on a terminal. */
  readonly pretty: boolean
  /** Called with every line that the system writes to standard error. */
  onLog(line: string): void
  /** Called once if the system ends without having been told to. */
  onLost(error: Error): void
  /** Ends the waiting for the start. */
  readonly stop: AbortSignal
}

/**
 * Starts `cqrs up` on free ports and waits until it serves. It ends with this process however this process
 * ends: it notices when the channel between the two closes.
 *
 * @throws Error if it ends or does not serve in time
 */
export async function startSystem({ data, pretty, onLog, onLost, stop }: StartOptions): Promise<System> {
  const child = fork(PROGRAM, ['up'], {
    cwd: ROOT,
    env: {
      ...process.env,
      III_URL: 'embedded',
      III_HOST: '127.0.0.1',
      III_PORT: '0',
      III_HTTP_HOST: '127.0.0.1',
      III_HTTP_PORT: '0',
      CQRS_DATA: data,
      CQRS_APP: APP,
      CQRS_LOG_LEVEL: process.env.CQRS_LOG_LEVEL ?? 'warn',
      CQRS_LOG_FORMAT: pretty ? 'pretty' : 'json',
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  if (child.stderr) createInterface({ input: child.stderr }).on('line', onLog)
  const exited = once(child, 'exit')
  const lost = new AbortController()
  child.once('exit', (code, signal) => {
    lost.abort(new Error(`The system ended with ${signal ?? `exit code ${code}`}; its own message is above.`))
  })
  const end = async () => {
    lost.signal.onabort = null
    child.kill('SIGTERM')
    await exited
  }
  try {
    const giveUp = AbortSignal.any([stop, lost.signal, AbortSignal.timeout(START_MS)])
    const { engine } = await ready(child, giveUp)
    if (!engine?.httpUrl) throw new Error('The system serves no HTTP; is it switched off in iii.config.yaml?')
    lost.signal.onabort = () => onLost(lost.signal.reason)
    return { httpUrl: engine.httpUrl, engineUrl: engine.url, stop: end }
  } catch (error) {
    await end()
    throw error
  }
}

function ready(child: ChildProcess, giveUp: AbortSignal): Promise<ReadyMessage> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (isReadyMessage(message)) resolve(message)
    })
    giveUp.addEventListener('abort', () => reject(whyNotReady(giveUp.reason)), { once: true })
  })
}

function whyNotReady(reason: unknown): unknown {
  const isLate = reason instanceof Error && reason.name === 'TimeoutError'
  return isLate ? new Error(`The system was not ready within ${START_MS / 1_000} seconds.`) : reason
}
