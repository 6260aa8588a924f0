import { join } from 'node:path'
import { describe, test } from 'vitest'
import { CqrsProcess } from './cqrs-process.ts'
import { childrenOf } from './process-tree.ts'
import { NO_REAL_ENGINE, REAL_ENGINE, startRealEngine } from './real-engine.ts'
import { sitePort } from './site-port.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

/** What can run as a process of its own. */
export type Part = 'engine' | 'queue' | 'projections' | 'commands' | 'queries' | 'operator'

/** Where one system lives: its data folder and its ports, which stay the same when it is started again. */
export interface Site {
  readonly data: string
  /** Where HTTP is served. */
  readonly http: string
  /** Where workers connect. */
  readonly engine: string
  /** The settings of all its processes. */
  readonly env: Readonly<Record<string, string>>
  /** Which engine it runs on. */
  readonly on: 'embedded' | 'real'
}

/** Describes what holds for a system whichever engine it runs on; its sites are made by what it is given. */
export function onEachEngine(
  describeOn: (newSiteOn: (settings?: Site['env']) => Promise<Site>) => void,
): void {
  describe('on the embedded engine', () => describeOn((settings) => newSite(settings)))
  if (REAL_ENGINE === undefined) {
    describe.skip('on the real engine', () => test(`skipped: ${NO_REAL_ENGINE}`, () => {}))
  } else
    describe('on the real engine', () => describeOn((settings) => newSite(settings, tempFolder(), 'real')))
}

/**
 * A new site on free ports.
 *
 * @param settings environment variables besides folder and ports
 * @param folder where its data folder is made; one of the test's own if left out
 * @param on the engine that it runs on; a real one has to be there
 */
export async function newSite(
  settings: Readonly<Record<string, string>> = {},
  folder: string = tempFolder(),
  on: Site['on'] = 'embedded',
): Promise<Site> {
  const data = join(folder, 'data')
  const enginePort = await sitePort()
  const httpPort = await sitePort()
  return {
    data,
    http: `http://127.0.0.1:${httpPort}`,
    engine: `ws://127.0.0.1:${enginePort}`,
    on,
    env: {
      CQRS_DATA: data,
      III_PORT: String(enginePort),
      III_HTTP_PORT: String(httpPort),
      CQRS_LOG_FORMAT: 'json',
      // Machines that run tests are busy.
      CQRS_OPS_READY_ANSWER_MS: '3000',
      ...settings,
    },
  }
}

/** Starts the whole system under its supervisor, after the real engine if it runs on one; resolves when it says that it is up. */
export async function startSystem(site: Site): Promise<CqrsProcess> {
  const isReal = site.on === 'real'
  if (isReal) await startRealEngine(site)
  const up = new CqrsProcess(['up'], { ...site.env, ...(isReal && { III_URL: site.engine }) })
  await up.ready
  return up
}

/**
 * Starts one part as a process of its own, connected to the site's engine; resolves when it is ready.
 *
 * @param env settings of this process alone
 */
export async function startPart(
  site: Site,
  part: Part,
  env: Readonly<Record<string, string>> = {},
): Promise<CqrsProcess> {
  if (part === 'engine' && site.on === 'real') return startRealEngine(site, env)
  const worker =
    part === 'engine'
      ? new CqrsProcess(['engine'], { ...site.env, ...env })
      : new CqrsProcess(['worker', part], { ...site.env, III_URL: site.engine, ...env })
  await worker.ready
  return worker
}

/** Starts all parts one by one, but for those that are left out. */
export async function startParts<Out extends Part = never>(
  site: Site,
  { without = [] }: { without?: readonly Out[] } = {},
): Promise<Record<Exclude<Part, Out>, CqrsProcess>> {
  const wanted = (['queue', 'projections', 'commands', 'queries'] as const).filter(
    (part) => !(without as readonly Part[]).includes(part),
  )
  const engine = await startPart(site, 'engine')
  const workers = await Promise.all(wanted.map(async (part) => [part, await startPart(site, part)] as const))
  return { engine, ...Object.fromEntries(workers) } as Record<Exclude<Part, Out>, CqrsProcess>
}

/**
 * Kills one part of a system under its supervisor with SIGKILL, whatever it is doing; if it is dead at the
 * moment, as soon as it is started again.
 */
export async function killPart(up: CqrsProcess, part: Part): Promise<void> {
  // A process starts as `… cli.ts worker queue` and then calls itself `cqrs queue`.
  const called = new RegExp(` ${part}(?![\\w-])`)
  await until(`the ${part} process is killed`, () => {
    const child = childrenOf(up.pid).find(({ args }) => called.test(args))
    return child && process.kill(child.pid, 'SIGKILL')
  })
}
