import { type AlertListener, listenToAlerts } from './alerts.ts'
import { Client } from './client.ts'
import { differences } from './compare.ts'
import { addProducts, sellLines } from './drive.ts'
import { foldLines } from './fold.ts'
import { reportDifferences, reportViews } from './report.ts'
import { count, type Screen } from './screen.ts'
import { readOrderLines, toProducts } from './superstore.ts'
import { startSystem } from './system.ts'
import { readViews, waitForViews } from './views.ts'

export interface RunOptions {
  readonly screen: Screen
  /** The data folder of the system. */
  readonly data: string
  /** Products to sell, those that appear first in the file; all if left out. */
  readonly limit: number | undefined
  /** Requests under way at the same time. */
  readonly concurrency: number
  /** Lets the system run after the comparison until `stop`. */
  readonly keep: boolean
  readonly stop: AbortController
  /** Milliseconds that only ever grow. */
  now(): number
}

/** Why everything stops when a person wants it to. */
export class Interrupted extends Error {}

/**
 * The demo: starts the system, sells the whole file, and compares what the system says with a plain fold.
 * Everything that it started is gone when it returns or throws.
 *
 * @returns whether they agree
 * @throws what `stop` was aborted with, and Error for whatever must not happen
 */
export async function run(options: RunOptions): Promise<boolean> {
  const { screen, stop } = options
  const lines = readOrderLines(options.limit)
  const products = toProducts(lines)
  screen.line(`${count(lines.length)} order lines of a superstore sell ${count(products.length)} products.`)
  screen.line()

  const started = options.now()
  const system = await startSystem({
    data: options.data,
    pretty: screen.isTerminal,
    onLog: (line) => screen.line(line),
    onLost: (error) => stop.abort(error),
    stop: stop.signal,
  })
  let listener: AlertListener | undefined
  try {
    listener = await listenToAlerts(system.engineUrl, options.data, stop.signal)
    screen.phase('Start', (options.now() - started) / 1_000, `engine and workers serve on ${system.httpUrl}`)
    const agrees = await sellAndCompare({ ...options, lines, products, httpUrl: system.httpUrl, listener })
    if (options.keep) await keepRunning(screen, system, stop.signal)
    return agrees
  } finally {
    // In this order nothing is on its way to a listener that is gone.
    await system.stop()
    await listener?.close()
  }
}

async function sellAndCompare(
  options: RunOptions & {
    lines: ReturnType<typeof readOrderLines>
    products: ReturnType<typeof toProducts>
    httpUrl: string
    listener: AlertListener
  },
): Promise<boolean> {
  const { screen, concurrency, lines, products, listener } = options
  const client = new Client(options.httpUrl, options.stop.signal)
  const timed = async <Result>(name: string, work: () => Promise<Result>, tell: Tell<Result>) => {
    const began = options.now()
    const result = await work()
    const seconds = (options.now() - began) / 1_000
    screen.phase(
      name,
      seconds,
      tell(result, (done) => rate(done, seconds)),
    )
    return result
  }
  const drive = (name: string, total: number) => ({
    client,
    concurrency,
    onProgress: (done: number) => screen.progress(name, done, total),
  })

  const from = options.now()
  const added = await timed(
    'Products',
    () => addProducts(products, drive('Products', products.length)),
    ({ accepted }, perSecond) => `${count(accepted)} added, ${perSecond(accepted)} commands/s`,
  )
  const sold = await timed(
    'Sales',
    () => sellLines(lines, drive('Sales', lines.length)),
    ({ accepted, refused }, perSecond) =>
      `${count(accepted)} accepted, ${count(refused)} refused for want of stock, ${perSecond(lines.length)} commands/s`,
  )
  const positions = [...added.positions, ...sold.positions]
  const head = Math.max(0, ...positions)
  await timed(
    'Views',
    () => waitForViews(client, head),
    () =>
      `caught up with ${count(head)} events, ${rate(head, (options.now() - from) / 1_000)} events/s over all`,
  )
  await timed(
    'Alerts',
    () => listener.allSent(head),
    () => `${count(listener.alerts.size)} low-stock alerts on the topic alerts.low-stock`,
  )
  if (client.retries > 0) screen.line(`${count(client.retries)} requests had to be sent again.`)

  const views = await readViews(client)
  reportViews(screen, views)
  const found = differences(foldLines(products, lines), {
    accepted: sold.accepted,
    refused: sold.refused,
    positions,
    views,
    alerts: [...listener.alerts.values()],
  })
  reportDifferences(screen, found, products.length)
  return found.length === 0
}

/** Tells what a phase did; `perSecond` says how many that is per second. */
type Tell<Result> = (result: Result, perSecond: (done: number) => string) => string

function rate(done: number, seconds: number): string {
  return count(Math.round(done / seconds))
}

async function keepRunning(
  screen: Screen,
  { httpUrl, engineUrl }: { httpUrl: string; engineUrl: string },
  stop: AbortSignal,
): Promise<void> {
  for (const line of [
    'The system runs on; Ctrl-C stops it and removes its data.',
    '',
    `  curl '${httpUrl}/inventory?sort=revenueCents&order=descending&limit=10'`,
    `  curl ${httpUrl}/inventory/stats`,
    `  III_URL=${engineUrl} npx cqrs status`,
    '',
  ]) {
    screen.line(line)
  }
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })
  if (!(stop.reason instanceof Interrupted)) throw stop.reason
}
