import type { Build, BuildOrder, Place, StartBuild } from '../../src/generations/place.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { BufferedView } from '../../src/projection/buffered-view.ts'
import type { Discarded, ViewStore } from '../../src/projection/contract.ts'
import { damageOf, readEstate } from '../../src/projection/damage.ts'
import { owedAmong } from '../../src/projection/duty.ts'
import { givenUpIn } from '../../src/projection/given-up.ts'
import { Projector } from '../../src/projection/projector.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { WithholdingView } from '../../src/projection/withholding-view.ts'
import { Gate } from './gate.ts'
import type { SharedSite } from './gated-worker.ts'
import { ledgerCatalog } from './ledger-app.ts'

export interface GatedBuildsOptions {
  readonly site: Pick<SharedSite, 'log' | 'now' | 'batchSize' | 'heldBackMs' | 'parked'>
  readonly projection: ProjectionDefinition
  /** Of the process: what a thread says comes in its order. */
  readonly process: Gate
  readonly path: (place: Place) => string
}

const NOTHING: readonly Discarded[] = []

/** Batches between two reports of a build. */
const REPORT_EVERY = 2

/** The build threads of a process, as src/workers/builds/build-thread.ts and start-build.ts make them; each has a gate of its own. */
export class GatedBuilds {
  readonly #options: GatedBuildsOptions
  readonly #threads = new Map<Gate, () => void>()
  #ended = false

  constructor(options: GatedBuildsOptions) {
    this.#options = options
  }

  get gates(): Gate[] {
    return [...this.#threads.keys()]
  }

  /** The process is gone, and its threads with it. */
  end(): void {
    this.#ended = true
    for (const gate of this.gates) gate.end()
    for (const closes of this.#threads.values()) closes()
    this.#threads.clear()
  }

  /** A thread died in its middle: another one begins. */
  dies(gate: Gate): void {
    gate.end()
    this.#threads.get(gate)?.()
  }

  readonly start: StartBuild = (order, events) => {
    const { process } = this.#options
    let stopped = false
    let ended = Promise.resolve()
    let last: Promise<unknown> = Promise.resolve()
    const said = { position: 0, target: 0 }
    /** What a thread says comes in order, and as late as the process is busy with other things. */
    const tell = (what: () => void) => {
      last = last.then(() => process.pass(what))
    }
    const fail = (error: string) => {
      events.onProgress({ phase: 'folding', ...said, eventsPerSecond: 0, error })
      tell(() => !stopped && begin())
    }
    const begin = () => {
      if (this.#ended) return
      const gate = new Gate()
      const opened = new Set<ViewStore>()
      let outcome: Outcome | undefined
      const exit = Promise.withResolvers<void>()
      ended = exit.promise
      const exits = () => {
        if (!this.#threads.delete(gate)) return
        for (const store of opened) void store.close()
        if (this.#ended) return
        tell(() => {
          exit.resolve()
          if (stopped) return
          if (outcome?.kind === 'done') events.onDone(outcome.position)
          else if (outcome?.kind === 'damaged') events.onDamage(outcome.damage)
          else fail(outcome?.kind === 'failed' ? outcome.error : 'The thread ended.')
        })
      }
      this.#threads.set(gate, exits)
      const report = (position: number, target: number, phase: 'folding' | 'indexing') =>
        tell(() => {
          Object.assign(said, { position, target })
          events.onProgress({ phase, position, target, eventsPerSecond: 1, error: undefined })
        })
      this.#fold(order, { gate, opened, report, isStopped: () => stopped }).then(
        (found) => {
          outcome = found
          exits()
        },
        (error) => {
          const damage = damageOf(error)
          outcome = damage ? { kind: 'damaged', damage } : { kind: 'failed', error: String(error) }
          exits()
        },
      )
    }
    begin()
    return {
      async stop() {
        stopped = true
        await ended
      },
    } satisfies Build
  }

  async #fold(order: BuildOrder, thread: Thread): Promise<Outcome> {
    const { site, projection, path } = this.#options
    const { gate, opened, report, isStopped } = thread
    const { place, owing: places, takesOver } = order
    const log = gate.guard(site.log) as unknown as EventLog
    const kind = takesOver ? projection.kind : 'projection'
    const open = (one: Place, options: { version?: number; indexes?: boolean }) => {
      const store = openSqliteView(path(one), projection, options)
      opened.add(store)
      const { commit } = store
      store.commit = async (change) => {
        site.parked(change.parked)
        return commit.call(store, change)
      }
      return gate.guard(store)
    }
    const owing = (
      await Promise.all(
        places.map((one) =>
          readEstate(kind, () => open(one, { version: one.version, indexes: false }), undefined),
        ),
      )
    ).filter((one) => one !== undefined)
    const end = await whereToEnd(order, kind, owing)
    const givenUp = givenUpIn(
      owing.map((view) => (positions) => readEstate(kind, () => view.discardedAmong(positions), NOTHING)),
    )
    const head = async () => end ?? (await log.head())
    const foldOn = async (indexes: boolean) => {
      const { heldBackMs: held } = site
      const buffered = new BufferedView(open(place, { indexes }), {
        maxDocuments: 1_000,
        maxBytes: 64_000_000,
        heldBackMs: { first: held, least: held, most: held },
        now: site.now,
      })
      const view = new WithholdingView(buffered, async (positions) =>
        owing.length === 0 || !takesOver ? new Set() : owedAmong(positions, owing, log),
      )
      const projector = new Projector({
        projection,
        partition: place.partition,
        catalog: ledgerCatalog,
        log,
        view,
        policy: { maxAttempts: 2, baseMs: 100, capMs: 1_000 },
        turns: new Turns(),
        batchSize: site.batchSize,
        documentCache: { documents: 0, bytes: 64_000_000 },
        now: site.now,
        random: () => 0.5,
        givenUp,
      })
      try {
        for (let batch = 1; !isStopped(); batch += 1) {
          if ((await projector.step(end)) === 'at-head') {
            await projector.retryDue()
            await buffered.flush()
            report(await projector.position(), await head(), 'folding')
            return { finished: true, position: await projector.position() }
          }
          if (batch % REPORT_EVERY !== 0) continue
          await projector.retryDue()
          report(await projector.position(), await head(), 'folding')
        }
        return { finished: false, position: await projector.position() }
      } finally {
        await view.close()
      }
    }
    let round = await foldOn(false)
    while (round.finished) {
      report(round.position, await head(), 'indexing')
      await open(place, {}).close()
      if ((await head()) - round.position <= site.batchSize) break
      round = await foldOn(true)
    }
    for (const view of owing) await view.close()
    return round.finished ? { kind: 'done', position: round.position } : { kind: 'stopped' }
  }
}

interface Thread {
  readonly gate: Gate
  readonly opened: Set<ViewStore>
  readonly report: (position: number, target: number, phase: 'folding' | 'indexing') => void
  readonly isStopped: () => boolean
}

type Outcome =
  | { readonly kind: 'done'; readonly position: number }
  | { readonly kind: 'damaged'; readonly damage: NonNullable<ReturnType<typeof damageOf>> }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'stopped' }

async function whereToEnd(
  { until, owing: places }: BuildOrder,
  kind: ProjectionDefinition['kind'],
  owing: readonly ViewStore[],
) {
  if (until === 'head') return undefined
  if (until !== 'owing') return until
  const positions = await Promise.all(
    owing.map((view) => readEstate(kind, async () => (await view.checkpoint()).position, undefined)),
  )
  const isWhole = owing.length === places.length && positions.every((position) => position !== undefined)
  return isWhole ? Math.max(...positions) : undefined
}
