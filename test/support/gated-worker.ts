import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { viewPath } from '../../src/config/paths.ts'
import type { ControlStore } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { Coordinator, isOlder } from '../../src/generations/coordinator.ts'
import type { Place, ViewStorage } from '../../src/generations/place.ts'
import { UnitGenerations } from '../../src/generations/unit-generations.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type { ProjectionUnit } from '../../src/kernel/unit.ts'
import type { EventLog } from '../../src/log/contract.ts'
import type { ParkedEvent, ViewChange, ViewStore } from '../../src/projection/contract.ts'
import { EffectSender } from '../../src/projection/effect-sender.ts'
import type { ParityReport } from '../../src/projection/parity.ts'
import { Projector } from '../../src/projection/projector.ts'
import { ProjectionRunner } from '../../src/projection/runner.ts'
import { compareSqliteViews } from '../../src/projection/sqlite/view-snapshot.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { Gate } from './gate.ts'
import { GatedBuilds } from './gated-builds.ts'
import { ledgerCatalog } from './ledger-app.ts'
import type { MemoryLog } from './memory-log.ts'

/** What all processes of a data folder have in common. */
export interface SharedSite {
  readonly data: string
  readonly log: MemoryLog
  readonly now: () => number
  /** Told of what goes wrong. */
  readonly say: (what: string) => void
  /** Who holds the lock of a unit; by `<index>of<count>`. */
  readonly locks: Map<string, GatedWorker>
  /** Takes an effect: that it is sent is what this returns. What it throws is a failure. */
  readonly take: (idempotencyKey: string) => 'sent' | 'unreachable'
  /** Told of each effect that is no longer recorded because it was sent. */
  readonly forgotten: (idempotencyKeys: readonly string[]) => void
  /** Told of the events that a view parks. */
  readonly parked: (events: readonly ParkedEvent[]) => void
  readonly batchSize: number
  readonly heldBackMs: number
}

interface Live {
  readonly unit: ProjectionUnit
  readonly generations: UnitGenerations
  readonly runner: ProjectionRunner
  readonly effects: EffectSender
  readonly coordinator: Coordinator | undefined
}

const silent = pino({ level: 'silent' })

/** How often a comparison looks for one position. */
const LOOKS = 6

/**
 * A projections process as the worker wires it, every call of which waits at a {@link Gate}. It is one thread, and its stores
 * answer in the turn in which they are asked: calls come in the order in which they are made, and what comes from outside
 * (messages of threads, timers, what operators ask for) has its turn when none is left. Other processes do what they like between
 * any two calls.
 */
export class GatedWorker {
  /** Calls of stores; in their order. */
  readonly calls = new Gate()
  /** What comes from outside, when no call waits. */
  readonly turns = new Gate()
  /** What threads do that compare. */
  readonly aside = new Gate()
  readonly projection: ProjectionDefinition
  readonly units = new Map<string, Live>()
  readonly builds: GatedBuilds
  /** What went wrong in a way that no store is to blame for. */
  readonly wrongs: unknown[] = []
  readonly #site: SharedSite
  readonly #store: ControlStore
  readonly #guarded: ControlStore
  readonly #opened = new Set<ViewStore>()
  readonly #busy = new Map<string, Promise<void>>()
  readonly #trials = new Turns()

  constructor(site: SharedSite, projection: ProjectionDefinition) {
    this.#site = site
    this.projection = projection
    this.#store = openSqliteControl({ path: join(site.data, 'control.db') })
    this.#guarded = this.calls.guard(this.#store)
    this.builds = new GatedBuilds({ site, projection, process: this.turns, path: this.path })
  }

  get gates(): Gate[] {
    return [this.calls, this.turns, this.aside, ...this.builds.gates]
  }

  get ended(): boolean {
    return this.calls.ended || this.turns.ended
  }

  /** What is under way. */
  get busy(): string[] {
    return [...this.#busy.keys()]
  }

  /** Begins something, unless that is under way already. */
  begin(what: string, work: () => Promise<unknown>): Promise<void> | undefined {
    if (this.ended || this.#busy.has(what)) return undefined
    const ended = this.turns
      .pass(() => undefined)
      .then(work)
      .then(
        () => undefined,
        (error: Error) => {
          this.#site.say(`  ${what}: ${error.message}`)
          if (error.name !== 'CqrsError') this.wrongs.push(error)
        },
      )
      .finally(() => this.#busy.delete(what))
    this.#busy.set(what, ended)
    return ended
  }

  /** Tries to become the one who works on a unit, as `spread` does. */
  take(unit: ProjectionUnit): Promise<void> | undefined {
    const { index, count } = unit.partition
    const { locks } = this.#site
    return this.begin(`take ${unit.name}`, async () => {
      const { name } = this.projection
      if (isOlder(this.projection, await this.#guarded.projection(name))) return
      const others = [...locks.keys()].some((lock) => !lock.endsWith(`of${count}`))
      if (others || locks.has(`${index}of${count}`)) return
      locks.set(`${index}of${count}`, this)
      if (isOlder(this.projection, await this.#guarded.projection(name))) {
        locks.delete(`${index}of${count}`)
        return
      }
      const live = this.#live(unit)
      await live.runner
        .inTurn(() => live.generations.reconcile())
        .catch((error) => {
          // The worker fails, and its supervisor starts it again.
          this.kill()
          throw error
        })
      if (!this.ended) this.units.set(unit.name, live)
    })
  }

  /** Ends the work on a unit in good order. */
  letGo({ unit, runner, generations }: Live): Promise<void> | undefined {
    this.units.delete(unit.name)
    return this.begin(`let go ${unit.name}`, async () => {
      await this.#busy.get(`look ${unit.name}`)
      if (unit.partition.index === 0) await this.#busy.get('decide')
      await runner.stop()
      await generations.close()
      this.#site.locks.delete(`${unit.partition.index}of${unit.partition.count}`)
    })
  }

  look({ unit, runner, generations }: Live): Promise<void> | undefined {
    return this.begin(`look ${unit.name}`, async () => {
      if (!(await generations.isStale())) return
      await runner.inTurn(() => generations.reconcile())
      await runner.catchUp()
    })
  }

  decide({ coordinator }: Live): Promise<void> | undefined {
    return coordinator && this.begin('decide', () => coordinator.reconcile())
  }

  catchUp({ unit, runner }: Live): Promise<void> | undefined {
    return this.begin(`catch up ${unit.name}`, () => runner.catchUp())
  }

  /** The process is gone. */
  kill(): void {
    this.calls.end()
    this.turns.end()
    this.aside.end()
    this.builds.end()
    for (const [lock, owner] of this.#site.locks) if (owner === this) this.#site.locks.delete(lock)
    for (const store of this.#opened) void store.close()
    void this.#store.close()
  }

  readonly path = ({ projection, generation, partition }: Place): string =>
    viewPath(this.#site.data, projection.name, { generation, partition })

  #live(unit: ProjectionUnit): Live {
    const { log, now, batchSize, take } = this.#site
    const events = this.calls.guard(log) as unknown as EventLog
    const storage: ViewStorage = {
      open: ({ version, ...place }, options) => {
        const indexes = version === this.projection.version
        const path = this.path({ version, ...place })
        return this.#track(openSqliteView(path, this.projection, { version, indexes, ...options }))
      },
      file: this.path,
      remove: (place) =>
        this.turns.pass(() => {
          for (const suffix of ['', '-wal', '-shm']) rmSync(this.path(place) + suffix, { force: true })
        }),
    }
    const control = this.#guarded
    const generations = new UnitGenerations({
      unit,
      control,
      events,
      storage,
      projector: (view, givenUp) =>
        new Projector({
          projection: this.projection,
          partition: unit.partition,
          catalog: ledgerCatalog,
          log: events,
          view,
          policy: { maxAttempts: 2, baseMs: 100, capMs: 1_000 },
          turns: this.#trials,
          batchSize,
          documentCache: { documents: 100, bytes: 64_000_000 },
          now,
          random: () => 0.5,
          givenUp,
        }),
      startBuild: this.builds.start,
      now,
      log: silent,
      takeOverAtOnce: 1,
    })
    const effects = new EffectSender({
      view: generations.view,
      send: (_, idempotencyKey) => this.turns.pass(() => take(idempotencyKey)),
      maxAttempts: 1,
      maxStops: 10,
      atOnce: 4,
      baseMs: 1,
      capMs: 1,
      now,
      log: silent,
      signal: new AbortController().signal,
    })
    const runner = new ProjectionRunner({
      projector: generations,
      view: generations.view,
      effects,
      sweepIntervalMs: 1_000_000,
      now,
      log: silent,
    })
    const coordinator =
      unit.partition.index === 0
        ? new Coordinator({
            projection: this.projection,
            control,
            storage,
            compare: this.#compare,
            log: silent,
          })
        : undefined
    return { unit, generations, runner, effects, coordinator }
  }

  /** As the thread does: it looks for a while until both stand at one position. */
  readonly #compare = async (before: readonly Place[], after: readonly Place[]): Promise<ParityReport> => {
    const paths = (places: readonly Place[]) => places.map(this.path)
    for (let look = 1; ; look += 1) {
      const report = await this.aside.pass(() =>
        compareSqliteViews(this.projection.name, paths(before), paths(after), 1),
      )
      if (report.kind === 'damaged' || report.samePosition || look === LOOKS)
        return this.turns.pass(() => report)
    }
  }

  /** What is open when the process ends is closed by the system. */
  #track(store: ViewStore): ViewStore {
    this.#opened.add(store)
    const { forgotten, parked } = this.#site
    const watched = new Proxy(store, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as unknown
        if (typeof method !== 'function') return method
        if (name === 'isReplaced') return () => Reflect.apply(method, target, [])
        return async (...given: unknown[]) => {
          const result = await Reflect.apply(method, target, given)
          if (name === 'close') this.#opened.delete(store)
          if (name === 'commit') parked((given[0] as ViewChange).parked)
          if (name === 'effectsSent') forgotten(given[0] as string[])
          return result
        }
      },
    })
    return this.calls.guard(watched)
  }
}
