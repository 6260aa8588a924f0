import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { startEngine } from '../../src/engine/engine.ts'
import { RawWorker } from './raw-worker.ts'
import { NO_REAL_ENGINE, REAL_ENGINE } from './real-engine.ts'
import { until } from './until.ts'

/** How long an HTTP request may take on the engines of the tests, in ms. */
export const HTTP_TIMEOUT_MS = 1_500

/** An engine that tests talk to, whichever it is. */
export interface EngineUnderTest {
  readonly url: string
  readonly httpUrl: string
  stop(): Promise<void>
}

/** A kind of engine, and why it cannot be started here if so. */
export interface EngineKind {
  readonly name: string
  readonly missing: string | undefined
  start(): Promise<EngineUnderTest>
}

/** The engines that behave alike: ours, and the real one where `III_ENGINE_BIN` names its program. */
export const ENGINE_KINDS: readonly EngineKind[] = [
  { name: 'the embedded engine', missing: undefined, start: startEmbedded },
  {
    name: 'the real engine',
    missing: REAL_ENGINE === undefined ? NO_REAL_ENGINE : undefined,
    start: () => startReal(REAL_ENGINE ?? ''),
  },
]

/** Starts the embedded engine in this process, on ports that the system chooses. */
export async function startEmbedded(): Promise<EngineUnderTest> {
  const engine = await startEngine({ port: 0, http: { port: 0, defaultTimeoutMs: HTTP_TIMEOUT_MS } })
  return { url: engine.url, httpUrl: engine.httpUrl ?? '', stop: () => engine.close() }
}

/** Starts a real engine as a child process in a folder of its own. */
async function startReal(binary: string): Promise<EngineUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-engine-'))
  const [port, httpPort] = await freePorts(2)
  // The engine rewrites this file and keeps what it took out of it beside it.
  writeFileSync(
    join(folder, 'config.yaml'),
    stringify({
      workers: [
        { name: 'iii-worker-manager', config: { host: '127.0.0.1', port } },
        { name: 'iii-http', config: { host: '127.0.0.1', port: httpPort, default_timeout: HTTP_TIMEOUT_MS } },
        { name: 'iii-state', config: { adapter: { name: 'kv', config: { store_method: 'in_memory' } } } },
        { name: 'iii-pubsub', config: { adapter: { name: 'local' } } },
        { name: 'iii-observability', config: { enabled: false, exporter: 'memory' } },
        { name: 'iii-telemetry', config: { enabled: false } },
      ],
    }),
  )
  const child = spawn(binary, ['-c', 'config.yaml', '--no-update-check'], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, III_TELEMETRY_ENABLED: 'false' },
  })
  const stop = async (): Promise<void> => {
    await stopChild(child)
    rmSync(folder, { recursive: true, force: true })
  }
  const engine = { url: `ws://127.0.0.1:${port}`, httpUrl: `http://127.0.0.1:${httpPort}`, stop }
  try {
    await until('the real engine to take workers and requests', async () => {
      const worker = await RawWorker.connect(engine.url)
      worker.terminate()
      return (await fetch(engine.httpUrl)).status === 404
    })
  } catch (error) {
    await stop()
    throw error
  }
  return engine
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
}

/** Ports that were free a moment ago: a child process cannot tell us the one it would choose itself. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
