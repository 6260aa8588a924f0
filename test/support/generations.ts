import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { ControlStore } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { Coordinator } from '../../src/generations/coordinator.ts'
import type { Build, BuildEvents, BuildOrder, Place, ViewStorage } from '../../src/generations/place.ts'
import { UnitGenerations } from '../../src/generations/unit-generations.ts'
import { ViewReaders } from '../../src/generations/view-readers.ts'
import type { App } from '../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { unitsOf } from '../../src/kernel/unit.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { BufferedView } from '../../src/projection/buffered-view.ts'
import type { ViewStore } from '../../src/projection/contract.ts'
import { readEstate, unlessDamaged } from '../../src/projection/damage.ts'
import { owedAmong } from '../../src/projection/duty.ts'
import { givenUpIn } from '../../src/projection/given-up.ts'
import { Projector, type ProjectorOptions } from '../../src/projection/projector.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { compareSqliteViews } from '../../src/projection/sqlite/view-snapshot.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../src/projection/turns.ts'
import { WithholdingView } from '../../src/projection/withholding-view.ts'
import { ledgerCatalog } from './ledger-app.ts'
import { tempFolder } from './temp-folder.ts'

/** What a worker of one version of the code does with one projection; see {@link generations}. */
export type Worker = Awaited<ReturnType<ReturnType<typeof generations>['work']>>

/**
 * The views of one projection with all their generations, moved by hand: nothing happens by itself, so that a
 * test can stop between any two steps. Stores are real, builds run in this thread.
 */
export function generations() {
  const data = tempFolder()
  const log = openSqliteEventLog({ path: join(data, 'events.db') })
  const clock = { now: 1_700_000_000_000 }
  const path = (place: Place) =>
    viewPath(data, place.projection.name, { generation: place.generation, partition: place.partition })
  onTestFinished(() => log.close())

  /** Begins to work with some code on the projection, as a process that starts; `stop` is its end. */
  async function work(
    projection: ProjectionDefinition,
    {
      buildSteps = Number.POSITIVE_INFINITY,
      gate = Promise.resolve(),
      /** Whether builds say how far they are when they begin. */
      progress = false,
      log: logger = pino({ level: 'silent' }),
      /** How the worker gets to the control store. */
      through = (store: ControlStore) => store,
    } = {},
  ) {
    const bare = openSqliteControl({ path: join(data, 'control.db') })
    const control = through(bare)
    const { name, version, partitions } = projection
    await bare.adopt({ projection: name, generation: 1, version, partitions })
    const storage: ViewStorage = {
      open: (place, options) =>
        openSqliteView(path(place), projection, {
          version: place.version,
          indexes: place.version === projection.version,
          ...options,
        }),
      file: path,
      async remove(place) {
        const { rm } = await import('node:fs/promises')
        for (const suffix of ['', '-wal', '-shm']) await rm(path(place) + suffix, { force: true })
      },
    }
    const projector = (
      view: ViewStore,
      partition: ProjectorOptions['partition'],
      givenUp: ProjectorOptions['givenUp'],
    ) =>
      new Projector({
        projection,
        ...(partition && { partition }),
        catalog: ledgerCatalog,
        log,
        view,
        policy: { maxAttempts: 2, baseMs: 100, capMs: 1_000 },
        turns: new Turns(),
        batchSize: 10,
        documentCache: { documents: 100, bytes: 64_000_000 },
        now: () => clock.now,
        random: () => 0.5,
        ...(givenUp && { givenUp }),
      })
    const building = new Set<Promise<void>>()
    const stops: (() => void)[] = []
    const startBuild = (order: BuildOrder, events: BuildEvents): Build => {
      const stop = Promise.withResolvers<void>()
      stops.push(stop.resolve)
      const ended = build(order, events, stop.promise)
      building.add(ended)
      return {
        async stop() {
          stop.resolve()
          await ended
        },
      }
    }
    async function build(order: BuildOrder, events: BuildEvents, stop: Promise<void>) {
      const { damage } = await unlessDamaged(() => fold(order, events, stop))
      if (damage) events.onDamage(damage)
    }
    async function fold(
      { place, until, owing: places, takesOver }: BuildOrder,
      events: BuildEvents,
      stop: Promise<void>,
    ) {
      const legacy = async <Result>(read: () => Result | Promise<Result>) =>
        readEstate(takesOver ? projection.kind : 'projection', read, undefined)
      const opened = await Promise.all(places.map((one) => legacy(() => storage.open(one))))
      const owing = opened.filter((one) => one !== undefined)
      const store = new BufferedView(storage.open(place), {
        maxDocuments: 1_000,
        maxBytes: 64_000_000,
        heldBackMs: { first: 1e9, least: 1e9, most: 1e9 },
        now: () => clock.now,
      })
      const view = new WithholdingView(store, async (positions) =>
        owing.length > 0 && takesOver ? owedAmong(positions, owing, log) : new Set(),
      )
      const givenUp = givenUpIn(
        owing.map((one) => async (among) => (await legacy(() => one.discardedAmong(among))) ?? []),
      )
      const one = projector(view, place.partition, givenUp)
      const positions = await Promise.all(
        owing.map((o) => legacy(async () => (await o.checkpoint()).position)),
      )
      const isWhole = owing.length === places.length && positions.every((position) => position !== undefined)
      const end =
        until === 'owing' && isWhole
          ? Math.max(...positions)
          : typeof until === 'number'
            ? until
            : Number.MAX_SAFE_INTEGER
      if (progress)
        events.onProgress({ phase: 'folding', position: 0, target: 0, eventsPerSecond: 0, error: undefined })
      try {
        const isStopped = await Promise.race([gate.then(() => false), stop.then(() => true)])
        for (let step = 0; !isStopped && step < buildSteps; step += 1) {
          if ((await one.step(end)) !== 'at-head') continue
          const position = await one.position()
          await view.close()
          events.onDone(position)
          return
        }
      } finally {
        await view.close()
        for (const view of owing) await view.close()
      }
    }
    const readers = new ViewReaders({
      app: { projections: new Map([[name, projection]]) } as unknown as App,
      control: bare,
      open: (place) => openSqliteViewReader(path(place), projection),
    })
    const units = unitsOf(projection).map((unit) => ({
      unit,
      generations: new UnitGenerations({
        unit,
        control,
        events: log,
        storage,
        projector: (view, givenUp) => projector(view, unit.partition, givenUp),
        startBuild,
        now: () => clock.now,
        log: logger,
        takeOverAtOnce: 1,
      }),
    }))
    const coordinator = new Coordinator({
      projection,
      control,
      storage,
      // Nothing moves meanwhile.
      compare: async (before, after) => compareSqliteViews(name, before.map(path), after.map(path), 1),
      log: pino({ level: 'silent' }),
    })
    /** What the units do by themselves, without anything being decided for the view as a whole. */
    const moveUnits = async () => {
      for (const { generations } of units) {
        await generations.reconcile()
        while ((await generations.step()) !== 'at-head');
        await generations.retryDue()
      }
      await Promise.all(building)
      await new Promise(setImmediate)
    }
    /** Everything that there is to do at the moment. */
    const tick = async () => {
      await coordinator.reconcile()
      await moveUnits()
    }
    let stopped = false
    const stop = async () => {
      if (stopped) return
      stopped = true
      for (const { generations } of units) await generations.close()
      await readers.close()
      await bare.close()
    }
    onTestFinished(stop)
    const states = async () =>
      Object.fromEntries(
        (await control.projection(name))?.generations.map(({ generation, state }) => [generation, state]) ??
          [],
      )
    return {
      control: bare,
      units,
      coordinator,
      readers,
      /** Until what is being built at the moment is. */
      building: async () => void (await Promise.all(building)),
      moveUnits,
      tick,
      states,
      stop,
      /** The end of a process that is killed: nothing of it happens any more, and nothing is put in order. */
      async kill() {
        stopped = true
        for (const stop of stops) stop()
        await Promise.all(building)
        await bare.close()
      },
      /** Until nothing changes any more. */
      async settle() {
        for (let before = ''; ; ) {
          await tick()
          const now = JSON.stringify(await bare.projection(name))
          if (now === before) return
          before = now
        }
      },
      request: (options: Partial<Parameters<typeof control.request>[0]> = {}) =>
        control.request({ projection: name, version, partitions, purpose: 'serve', by: 'test', ...options }),
      read: (key: string, generation?: number) => readers.use(name, ({ view }) => view.get(key), generation),
      position: () => readers.use(name, ({ view }) => view.position()),
      /** Sends all effects that are recorded. @returns their keys, in order */
      async send(): Promise<string[]> {
        const keys: string[] = []
        for (const { generations } of units) {
          for (const { idempotencyKey } of await generations.view.pendingEffects(1_000)) {
            keys.push(idempotencyKey)
            await generations.view.effectsSent([idempotencyKey])
          }
        }
        return keys
      },
      files: () =>
        existsSync(join(data, 'views'))
          ? readdirSync(join(data, 'views')).filter((file) => file.endsWith('.db'))
          : [],
    }
  }

  return {
    data,
    log,
    clock,
    work,
    /** Appends one movement to the stream of its account. */
    async move(account: string, amount: number) {
      const history = await log.history(account, { limit: 1 })
      await log.append({
        stream: account,
        expectedVersion: history[0]?.version ?? 0,
        events: [{ type: 'moved', schemaVersion: 1, data: { account, amount } }],
        metadata: { commandId: 'c', correlationId: 'c' },
      })
    },
  }
}
