import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { Position } from '../../kernel/position.ts'
import { handledTypes, type ProjectionDefinition } from '../../kernel/projection.ts'
import { openSqliteEventLog } from '../../log/sqlite/event-log.ts'
import { BufferedView } from '../../projection/buffered-view.ts'
import type { CommitOutcome, Discarded, Trial, ViewChange, ViewStore } from '../../projection/contract.ts'
import { damageOf, readEstate } from '../../projection/damage.ts'
import { owedAmong } from '../../projection/duty.ts'
import { givenUpIn } from '../../projection/given-up.ts'
import { Projector } from '../../projection/projector.ts'
import { openSqliteView } from '../../projection/sqlite/view-store.ts'
import { Turns } from '../../projection/turns.ts'
import { ViewDecorator } from '../../projection/view-decorator.ts'
import { WithholdingView } from '../../projection/withholding-view.ts'
import { loadApp } from '../load-app.ts'
import { BEAT, type BuildMessage, type BuildThreadOrder, FOLDING, STOP, YIELD } from './build-messages.ts'
import { checkAhead } from './checked-log.ts'

/** How often the builder reports its progress, and retries parked events that are due, in milliseconds. */
const REPORT_MS = 200

/** How long the builder pauses after each batch while live views are behind, in milliseconds. */
const YIELD_MS = 10

/** A second thread is worth it if more events than this are left, because a thread takes a moment to start. */
const WORTH_CHECKING_AHEAD = 20_000

type Kind = ProjectionDefinition['kind']

/** Used in place of what operators gave up, where that cannot be read. */
const NOTHING: readonly Discarded[] = []

/** How long the first changes are held back, and later ones at least, in milliseconds; see BufferedView. */
const FIRST_MS = 250
const LEAST_MS = 1_000

const order = workerData as BuildThreadOrder
const signals = new Int32Array(order.signals)

const post = (message: BuildMessage) => parentPort?.postMessage(message)

/** Signals when handlers run, so that a handler that never returns is noticed. */
class WatchedView extends ViewDecorator {
  override async beginTrial(trial: Trial, revision: number): Promise<void> {
    await super.beginTrial(trial, revision)
    Atomics.add(signals, BEAT, 1)
    Atomics.store(signals, FOLDING, 1)
  }

  override async commit(change: ViewChange): Promise<CommitOutcome> {
    Atomics.store(signals, FOLDING, 0)
    return super.commit(change)
  }
}

/** Events per second since the last report. */
class Rate {
  #position: Position
  #at = performance.now()

  constructor(position: Position) {
    this.#position = position
  }

  at(position: Position): { rate: number } {
    const now = performance.now()
    const rate = now > this.#at ? ((position - this.#position) / (now - this.#at)) * 1_000 : 0
    this.#position = position
    this.#at = now
    return { rate: Math.round(rate) }
  }
}

try {
  await build()
} catch (error) {
  const damage = damageOf(error)
  if (damage) post({ kind: 'damaged', damage })
  else post({ kind: 'failed', error: error instanceof Error ? error.message : String(error) })
}

/**
 * Builds one part of a generation in a thread of its own. If the thread is killed at any point, the next thread
 * continues from the part's own checkpoint. What the handlers do (throw, hang, end the thread) is recorded in the part,
 * as it is for a live view.
 */
async function build(): Promise<void> {
  const app = await loadApp(order.app)
  const projection = app.projections.get(order.projection)
  if (!projection) throw new Error(`The app has no projection ${order.projection}.`)
  const log = openSqliteEventLog({ path: order.log })
  // If this build does not take over effects, damage of the active generation does not matter: read it as that of a
  // projection.
  const kind = order.takesOver ? projection.kind : 'projection'
  const owing = await openOwing(projection, kind)
  const end = await whereToEnd(kind, owing)
  const givenUp = givenUpIn(
    owing.map((view) => (positions) => readEstate(kind, () => view.discardedAmong(positions), NOTHING)),
  )
  const head = async () => end ?? (await log.head())

  /**
   * Folds up to `end`, or to the head of the log, unless it is told to stop. @returns whether it got there, and its
   * position
   */
  const foldOn = async (indexes: boolean): Promise<{ finished: boolean; position: Position }> => {
    const store = openSqliteView(order.view, projection, { indexes })
    const buffered = new BufferedView(store, {
      maxDocuments: order.cachedDocuments,
      maxBytes: order.cachedBytes,
      heldBackMs: { first: FIRST_MS, least: LEAST_MS, most: order.heldBackMs },
      now: () => performance.now(),
    })
    const watched = new WatchedView(
      projection.kind === 'reactor'
        ? new WithholdingView(buffered, async (positions) =>
            owing.length === 0 || !order.takesOver ? new Set() : owedAmong(positions, owing, log),
          )
        : buffered,
    )
    const { position: start, digest } = await buffered.checkpoint()
    const checked =
      (await head()) - start > WORTH_CHECKING_AHEAD
        ? checkAhead(log, {
            log: order.log,
            types: [...handledTypes(projection)],
            partition: order.partition,
            batchSize: order.batchSize,
            batchBytes: order.batchBytes,
            position: start,
            digest,
          })
        : undefined
    const projector = new Projector({
      projection,
      partition: order.partition,
      catalog: app.events,
      log: checked ?? log,
      view: watched,
      policy: order.policy,
      turns: new Turns(),
      batchSize: order.batchSize,
      batchBytes: order.batchBytes,
      // The buffer already keeps documents in memory.
      documentCache: { documents: 0, bytes: order.cachedBytes },
      now: () => Date.now(),
      random: Math.random,
      givenUp,
      ...(checked && { digestAfter: checked.digestAfter }),
    })
    const rate = new Rate(await projector.position())
    const report = async () => {
      const position = await projector.position()
      post({ kind: 'progress', phase: 'folding', position, target: await head(), ...rate.at(position) })
    }
    try {
      await report()
      for (let reported = performance.now(); Atomics.load(signals, STOP) === 0; ) {
        if ((await projector.step(end)) === 'at-head') {
          while ((await projector.retryDue()) > 0 && Atomics.load(signals, STOP) === 0);
          await buffered.flush()
          await report()
          return { finished: true, position: await projector.position() }
        }
        if (Atomics.load(signals, YIELD) === 1) await delay(YIELD_MS)
        if (performance.now() - reported < REPORT_MS) continue
        reported = performance.now()
        await projector.retryDue()
        await report()
      }
      return { finished: false, position: await projector.position() }
    } finally {
      await checked?.close()
      await watched.close()
    }
  }

  let round = await foldOn(false)
  while (round.finished) {
    post({ kind: 'progress', phase: 'indexing', position: round.position, target: await head(), rate: 0 })
    // Opening the view creates the indexes that are missing.
    await openSqliteView(order.view, projection).close()
    if ((await head()) - round.position <= order.batchSize) break
    round = await foldOn(true)
  }
  for (const view of owing) await view.close()
  await log.close()
  post(round.finished ? { kind: 'done', position: round.position } : { kind: 'stopped' })
}

async function openOwing(projection: ProjectionDefinition, kind: Kind): Promise<ViewStore[]> {
  const opened = order.owing.map(({ path, version }) =>
    readEstate(kind, () => openSqliteView(path, projection, { version, indexes: false }), undefined),
  )
  return (await Promise.all(opened)).filter((view) => view !== undefined)
}

/**
 * The position to end at; undefined for the head of the log. The head is also the answer if the build is to end where
 * the active generation stands, and that cannot be read.
 */
async function whereToEnd(kind: Kind, owing: readonly ViewStore[]): Promise<Position | undefined> {
  if (order.until === 'head') return undefined
  if (order.until !== 'owing') return order.until
  const positions = await Promise.all(
    owing.map((view) => readEstate(kind, async () => (await view.checkpoint()).position, undefined)),
  )
  const isWhole = owing.length === order.owing.length && positions.every((position) => position !== undefined)
  return isWhole ? Math.max(...positions) : undefined
}
