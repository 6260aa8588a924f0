import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ControlStore, Generation, ProjectionControl } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { isCqrsError } from '../../src/kernel/errors.ts'
import { unitsOf } from '../../src/kernel/unit.ts'
import type { Passage } from './gate.ts'
import { GatedOperator, GatedReader, type Wish } from './gated-people.ts'
import { GatedWorker, type SharedSite } from './gated-worker.ts'
import { ACCOUNTS, type Code, GenerationsTruth, NAME } from './generations-truth.ts'
import { MemoryLog } from './memory-log.ts'
import { between, oneOf } from './random.ts'

/** More calls than anything takes that ends. */
const CALLS = 20_000

/** Processes on one data folder, moved call by call, and what must be true of them. */
export class GenerationsWorld {
  readonly log = new MemoryLog()
  readonly story: string[] = []
  readonly workers: GatedWorker[] = []
  readonly readers: { reader: GatedReader; seen: number; era: number }[] = []
  readonly operators: { operator: GatedOperator; asked: { what: Wish; changed: string[] } | undefined }[] = []
  /** What went wrong where nobody could be told. */
  readonly #wrongs: Error[] = []
  readonly truth: GenerationsTruth
  #random: () => number
  #now = 1_700_000_000_000
  #effects: 'sent' | 'unreachable' | 'refused' = 'sent'
  #peek: ControlStore
  #before: ProjectionControl | undefined
  readonly #site: SharedSite
  newest: Code

  constructor(data: string, random: () => number, code: Code) {
    this.#random = random
    this.newest = code
    this.truth = new GenerationsTruth(data, this.log)
    this.#peek = openSqliteControl({ path: join(data, 'control.db') })
    this.#site = {
      data,
      log: this.log,
      now: () => this.#now,
      say: (what) => this.say(what),
      locks: new Map(),
      take: (key) => {
        this.#note(() => this.truth.assertMayBeSent(key))
        if (this.#effects === 'refused') throw new Error('refused')
        if (this.#effects === 'unreachable') return 'unreachable'
        this.truth.sent(key)
        return 'sent'
      },
      forgotten: (keys) => this.truth.forgotten(keys),
      parked: (events) => this.truth.parked(events),
      batchSize: between(random, 2, 6),
      heldBackMs: random() < 0.5 ? 0 : 1e9,
    }
  }

  #fail(what: string): never {
    throw new Error(what)
  }

  say(what: string): void {
    this.story.push(what)
  }

  async begin(): Promise<void> {
    const { version, partitions } = this.newest
    await this.#peek.adopt({ projection: NAME, generation: 1, version, partitions })
    this.#before = await this.#peek.projection(NAME)
    for (let index = 0; index < 2; index += 1) {
      this.operators.push({
        operator: new GatedOperator(this.#site, this.truth.fold(this.newest)),
        asked: undefined,
      })
    }
    this.readers.push({ reader: new GatedReader(this.#site, this.truth.fold(this.newest)), seen: 0, era: 0 })
  }

  /** Other code is to run: later than all, split otherwise, or that of a generation that is there. */
  async deploy(): Promise<void> {
    const { generations } = await this.state()
    const active = generations.find(({ state }) => state === 'active') as Generation
    const latest = Math.max(this.newest.version, ...generations.map((one) => one.version))
    const { version, partitions } = this.newest
    const known = generations.filter((one) => one.version >= active.version)
    const next = oneOf(this.#random, [
      { version: latest + 1, partitions },
      { version, partitions: 3 - partitions },
      oneOf(this.#random, known),
      active,
    ])
    this.newest = { version: next.version, partitions: next.partitions }
    this.say(`the code is ${JSON.stringify(this.newest)}`)
  }

  append(): void {
    const account = oneOf(this.#random, ACCOUNTS)
    this.log.append(account, 'moved', { account, amount: -1 })
  }

  later(): void {
    this.#now += 5_000
  }

  effects(how: 'sent' | 'unreachable' | 'refused'): void {
    this.#effects = how
  }

  /** Forgets the workers that have ended. */
  bury(): void {
    for (let index = this.workers.length - 1; index >= 0; index -= 1)
      if (this.workers[index]?.ended) this.workers.splice(index, 1)
  }

  startWorker(): GatedWorker {
    this.say(`a worker of ${JSON.stringify(this.newest)} starts`)
    const worker = new GatedWorker(this.#site, this.truth.fold(this.newest))
    this.workers.push(worker)
    return worker
  }

  /** Gates at which something waits. */
  waiting() {
    const workers = this.workers.flatMap((worker, index) => {
      const threads = worker.builds.gates.map((gate, thread) => ({
        gate,
        who: `build ${thread} of worker ${index}`,
        dies: () => worker.builds.dies(gate),
        fifo: false,
      }))
      const dies = () => worker.kill()
      return [
        { gate: worker.calls, who: `worker ${index}`, dies, fifo: true },
        ...(worker.calls.held > 0 ? [] : [{ gate: worker.turns, who: `worker ${index}`, dies, fifo: false }]),
        { gate: worker.aside, who: `worker ${index}`, dies, fifo: false },
        ...threads,
      ]
    })
    const people = [
      ...this.operators.map((each, index) => ({
        gate: each.operator.gate,
        who: `operator ${index}`,
        dies: () => {
          each.operator.end()
          each.operator = new GatedOperator(this.#site, this.truth.fold(this.newest))
          each.asked = undefined
        },
        fifo: false,
      })),
      ...this.readers.map((each, index) => ({
        gate: each.reader.gate,
        who: `reader ${index}`,
        dies: () => undefined,
        fifo: false,
      })),
    ]
    return [...workers, ...people].filter(({ gate }) => gate.held > 0)
  }

  /** Lets one call of somebody go on. */
  async release(passage: Passage = 'runs', random: () => number = this.#random): Promise<boolean> {
    const waiting = this.waiting()
    if (waiting.length === 0) return false
    const { gate, who, dies, fifo } = oneOf(random, waiting)
    // Messages and timers come, whatever the disk does.
    const mayFail = fifo || who.startsWith('build') || who.startsWith('operator')
    const how = who.startsWith('reader') || (passage === 'fails' && !mayFail) ? 'runs' : passage
    await gate.release(fifo ? 0 : between(random, 0, gate.held - 1), how)
    if (how === 'fails') this.say(`    ${who}: the disk fails`)
    if (how.startsWith('ends')) {
      this.say(`${who} is killed`)
      dies()
      await gate.settle()
    }
    await this.look(who)
    return true
  }

  /** What has to be true at any moment; `who` has just done something. */
  async look(who: string): Promise<void> {
    const before = this.#before
    const after = await this.#peek.projection(NAME)
    for (const wrong of [...this.workers.flatMap(({ wrongs }) => wrongs), ...this.#wrongs]) throw wrong
    if (before === after || !before || !after) return
    this.#before = after
    const active = after.generations.filter(({ state }) => state === 'active')
    if (active.length !== 1) this.#fail(`${active.length} generations are active`)
    const operator = this.operators.find((_, index) => who === `operator ${index}`)
    for (const generation of new Set(
      [...before.generations, ...after.generations].map((one) => one.generation),
    )) {
      const from = before.generations.find((one) => one.generation === generation)
      const to = after.generations.find((one) => one.generation === generation)
      if (from?.state !== to?.state) {
        const by = operator?.asked ? `${who} (${operator.asked.what})` : who
        const change = `${generation}: ${from?.state ?? 'nothing'} → ${to?.state ?? 'gone'}`
        this.say(`    ${by}: ${change}`)
        operator?.asked?.changed.push(change)
        const codes = this.workers.map(({ projection }) => projection)
        await this.truth.assertMove({ from, to, after, by: operator ? 'operator' : 'worker', codes })
      }
    }
    if (before.paused !== after.paused) {
      this.say(`    ${who}: ${after.paused ? 'paused' : 'resumed'}`)
      operator?.asked?.changed.push('paused')
    }
  }

  /** An operator asks for something; what was refused changes nothing. */
  ask(index: number, what: Wish): void {
    const each = this.operators[index] as (typeof this.operators)[number]
    if (each.asked) return
    const asked = { what, changed: [] as string[] }
    each.asked = asked
    // It is a process that runs the code of the moment, or has not been started anew for a while.
    if (this.#random() < 0.5) {
      each.operator.end()
      each.operator = new GatedOperator(this.#site, this.truth.fold(this.newest))
    }
    const { operator } = each
    const until = between(this.#random, 1, Math.max(1, this.log.events.length))
    this.say(`operator ${index}: ${what}`)
    const over = (answer: string) => {
      this.say(`operator ${index}: ${what}: ${answer}`)
      if (each.asked === asked) each.asked = undefined
    }
    void operator.ask(what, NAME, until).then(
      (answer) => over(JSON.stringify(answer)),
      (error: Error) => {
        over(`${error.message.slice(0, 100)}`)
        if (error.name !== 'CqrsError') this.#wrongs.push(error)
        const isDisk = isCqrsError(error, 'CQRS_STORE_UNAVAILABLE')
        if (asked.changed.length > 0 && !isDisk)
          this.#wrongs.push(new Error(`${what} was refused, and has changed ${asked.changed}`))
      },
    )
  }

  query(index: number): void {
    const each = this.readers[index] as (typeof this.readers)[number]
    if (each.reader.gate.held > 0) return
    const { era } = this.truth
    void each.reader.query(ACCOUNTS).then(
      ({ freshness: { position }, documents, generation }) => {
        if (era !== this.truth.era) return
        this.#note(() => {
          if (each.era === era && position < each.seen)
            throw new Error(`a query found ${position} in ${generation}, and ${each.seen} before`)
          this.truth.assertRead(position, documents)
        })
        Object.assign(each, { seen: position, era })
      },
      (error) => this.#wrongs.push(new Error(`a query failed: ${error.message}`, { cause: error })),
    )
  }

  /** An operator gives up something that is parked. */
  discard(worker: GatedWorker, name: string): void {
    const live = worker.units.get(name)
    if (!live) return
    void worker.begin(`discard ${name}`, async () => {
      if (worker.units.get(name) !== live) return
      const letters = (await live.generations.view.current?.letters({ after: 0, limit: 100 })) ?? []
      if (letters.length === 0) return
      const { position } = oneOf(this.#random, letters).event
      this.truth.doomed.add(position)
      await live.runner.inTurn(async (followed) => {
        if (worker.units.get(name) !== live) return
        if (!(await followed.discard(position, 'eve', 'a test'))) return
        await this.truth.givenUp(position, (await this.state()).generations)
        this.say(`given up: ${position}`)
      })
    })
  }

  redrive(worker: GatedWorker, name: string): void {
    const live = worker.units.get(name)
    if (!live) return
    void worker.begin(`redrive ${name}`, async () => {
      if (worker.units.get(name) !== live) return
      const letters = (await live.generations.view.current?.letters({ after: 0, limit: 100 })) ?? []
      if (letters.length === 0) return
      const { position } = oneOf(this.#random, letters).event
      await live.runner.inTurn(async (followed) => {
        if (worker.units.get(name) !== live) return
        if (await followed.redrive(position)) await followed.retry(position)
      })
    })
  }

  redriveEffects(worker: GatedWorker, name: string): void {
    const live = worker.units.get(name)
    if (live)
      void worker.begin(`effects ${name}`, async () => {
        if (worker.units.get(name) !== live) return
        if (live.generations.view.current) await live.generations.view.redriveEffects()
        await live.effects.flush()
      })
  }

  /** Everything that waits goes on until nothing does. */
  async calm(): Promise<void> {
    for (let idle = 0, calls = 0; idle < 8; ) {
      const found = this.waiting()[0]
      if (found) {
        calls += 1
        if (calls > CALLS) this.#fail(`it goes on for ever: ${found.who}`)
        idle = 0
        await found.gate.release(0)
        await this.look(found.who)
      } else {
        idle += 1
        await nextTurn()
      }
    }
    await this.look('nobody')
  }

  async state(): Promise<ProjectionControl> {
    return (await this.#peek.projection(NAME)) as ProjectionControl
  }

  /** One worker is left, and does everything that there is to do, until nothing changes any more. */
  async #settle(): Promise<ProjectionControl> {
    this.truth.failing.clear()
    this.effects('sent')
    this.log.damagedAt = Number.POSITIVE_INFINITY
    await this.calm()
    for (const worker of this.workers) worker.kill()
    this.workers.length = 0
    await this.#peek.pause(NAME, false)
    const serves = (await this.state()).generations.find(({ state }) => state === 'active') as Generation
    if (serves.version > this.newest.version)
      this.newest = { version: serves.version, partitions: serves.partitions }
    this.say(`--- settling with ${JSON.stringify(this.newest)}`)
    const worker = this.startWorker()
    for (const unit of unitsOf(worker.projection)) {
      void worker.take(unit)
      await this.calm()
    }
    if (worker.units.size !== this.newest.partitions)
      this.#fail(`the units cannot be taken: ${worker.busy} ${[...this.#site.locks.keys()]}`)
    let quiet = 0
    for (let round = 0; quiet < 3; round += 1) {
      const before = JSON.stringify(await this.state())
      if (round > 200) this.#fail(`it does not come to rest: ${before}`)
      for (const live of worker.units.values()) {
        this.later()
        void worker.look(live)
        void worker.decide(live)
        await this.calm()
        void worker.catchUp(live)
        await this.calm()
        this.redrive(worker, live.unit.name)
        this.redriveEffects(worker, live.unit.name)
        await this.calm()
      }
      const letters = await Promise.all(
        [...worker.units.values()].map(({ generations }) => {
          const found = generations.view.current?.letters({ after: 0, limit: 1 })
          return this.calm().then(() => found)
        }),
      )
      const isQuiet =
        JSON.stringify(await this.state()) === before && letters.every((found) => !found?.length)
      quiet = isQuiet ? quiet + 1 : 0
    }
    if (worker.busy.length > 0) this.#fail(`what does not end: ${worker.busy}`)
    return this.state()
  }

  /** Nothing fails any more, and everything that was wished has ended well. */
  async assertSettled(): Promise<void> {
    const wentBack = () => this.story.some((said) => said.includes('rollback --force'))
    await this.truth.assertSettled(await this.#settle(), this.newest, wentBack())
  }

  #note(assert: () => void): void {
    try {
      assert()
    } catch (error) {
      this.#wrongs.push(error as Error)
    }
  }

  end(): void {
    for (const worker of this.workers) worker.kill()
    for (const { operator } of this.operators) operator.end()
    for (const { reader } of this.readers) reader.end()
    void this.#peek.close()
  }
}
