import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CqrsProcess, OF_ONE_TEST } from './cqrs-process.ts'
import { RawWorker } from './raw-worker.ts'
import type { Site } from './system.ts'
import { until } from './until.ts'

const CONFIG = join(import.meta.dirname, '..', '..', 'iii.config.yaml')

/** The program of a real iii engine, if there is one to test with. */
export const REAL_ENGINE = process.env.III_ENGINE_BIN

/** Said by tests that want one. */
export const NO_REAL_ENGINE = 'III_ENGINE_BIN does not name the program of an iii engine'

/**
 * Starts a real engine as operators do: with a copy of the configuration of this repository, at the ports and on the
 * data folder of a site. Resolves when it takes workers and requests.
 */
export async function startRealEngine(
  site: Site,
  env: Readonly<Record<string, string>> = {},
): Promise<CqrsProcess> {
  if (REAL_ENGINE === undefined) throw new Error(NO_REAL_ENGINE)
  const folder = dirname(site.data)
  mkdirSync(folder, { recursive: true })
  // The engine may rewrite its configuration.
  copyFileSync(CONFIG, join(folder, 'iii.config.yaml'))
  const command = ['umask 077; exec "$0" "$@"', REAL_ENGINE, '-c', 'iii.config.yaml', '--no-update-check']
  const engine = new CqrsProcess(['real engine'], { ...site.env, ...env }, OF_ONE_TEST, (_args, settings) =>
    spawn('sh', ['-c', ...command], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, III_TELEMETRY_ENABLED: 'false', ...settings },
    }),
  )
  await until(
    'the real engine to take workers and requests',
    async () => {
      if (engine.ended) return true
      const worker = await RawWorker.connect(site.engine)
      worker.terminate()
      return (await fetch(site.http)).status === 404
    },
    30_000,
  )
  if (engine.ended) throw new Error(`the real engine ended:\n${engine.output}`)
  return engine
}
