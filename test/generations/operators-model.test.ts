import { expect, test } from 'vitest'
import type { App } from '../../src/kernel/app.ts'
import { CqrsError } from '../../src/kernel/errors.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { prune } from '../../src/operator/prune.ts'
import {
  cancelRebuild,
  pauseProjection,
  resumeProjection,
  rollback,
  startRebuild,
  startVerify,
} from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import { generations, type Worker } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'

const SCENARIOS = Number(process.env.CQRS_TEST_RUNS) || 10
const STEPS = 50
const ACCOUNTS = ['ada', 'bob', 'eve', 'kim']
const NAME = 'balances'
const seed = testSeed()

/** Lets those who wait go on one after the other, in a random order. */
class Interleaving {
  readonly #random: () => number
  readonly #waiting: (() => void)[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /**
   * Until all of `work` has ended, or the worker is killed.
   *
   * @returns whether it was killed: none of `work` goes on
   */
  async run(
    work: readonly Promise<unknown>[],
    between: () => Promise<void>,
    { deadly = 0 } = {},
  ): Promise<boolean> {
    let ended = false
    const all = Promise.all(work).finally(() => {
      ended = true
    })
    all.catch(() => undefined)
    while (!ended) {
      await new Promise(setImmediate)
      await between()
      if (this.#random() < deadly) {
        this.#waiting.length = 0
        return true
      }
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1)
      next?.()
    }
    await all
    return false
  }

  /** A thing each method of which waits for its turn first. */
  wrap<Thing extends object>(thing: Thing): Thing {
    return new Proxy(thing, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function' || property === 'close') return value
        return async (...args: unknown[]) => {
          await this.turn()
          return Reflect.apply(value, target, args)
        }
      },
    })
  }
}

/** Two operators and a worker at work at the same time, whose calls of the control store come in any order. */
class Scenario {
  readonly #site = generations()
  readonly #random: () => number
  readonly #turns: Interleaving
  readonly #said: string[] = []
  #definition: ProjectionDefinition = balances()
  #worker!: Worker
  #gate = Promise.withResolvers<void>()
  #events = 0
  #seen = 0
  #mayGoBack = false
  #dies = false

  constructor(random: () => number) {
    this.#random = random
    this.#turns = new Interleaving(random)
  }

  get #system(): System {
    const projections = new Map([[NAME, this.#definition]])
    const system = {
      app: { projections } as unknown as App,
      log: this.#site.log,
      control: this.#turns.wrap(this.#worker.control),
    }
    return system as unknown as System
  }

  readonly #operator: Record<string, () => Promise<unknown>> = {
    rebuild: () => startRebuild(this.#system, { projection: NAME }, { by: 'eve' } as never),
    force: () => startRebuild(this.#system, { projection: NAME, force: true }, { by: 'eve' } as never),
    parity: () =>
      startRebuild(this.#system, { projection: NAME, requireParity: true }, { by: 'eve' } as never),
    until: () =>
      startRebuild(this.#system, { projection: NAME, until: between(this.#random, 1, this.#events) }, {
        by: 'eve',
      } as never),
    verify: () => startVerify(this.#system, { projection: NAME }, { by: 'eve' } as never),
    rollback: () => rollback(this.#system, { projection: NAME }),
    forceBack: () => {
      this.#mayGoBack = true
      return rollback(this.#system, { projection: NAME, force: true })
    },
    cancel: () => cancelRebuild(this.#system, { projection: NAME }),
    prune: () => prune(this.#system, { projection: NAME }),
    keep: () => prune(this.#system, { projection: NAME, keepPrevious: true }),
    pause: () => pauseProjection(this.#system, { projection: NAME }),
    resume: () => resumeProjection(this.#system, { projection: NAME }),
  }

  async run(): Promise<void> {
    await this.#append(3)
    await this.#begin()
    for (let step = 0; step < STEPS; step += 1) {
      const work: Promise<unknown>[] = []
      if (this.#random() < 0.5) work.push(this.#operate())
      if (this.#random() < 0.3) work.push(this.#operate())
      if (this.#random() < 0.4) await this.#append(between(this.#random, 1, 12))
      if (this.#random() < 0.8) {
        for (const { generations } of this.#worker.units) {
          work.push(
            (async () => {
              await generations.reconcile()
              for (let left = between(this.#random, 0, 4); left > 0; left -= 1) await generations.step()
            })(),
          )
        }
      }
      if (this.#random() < 0.7) work.push(this.#worker.coordinator.reconcile())
      const isKilled = await this.#turns.run(work, () => this.#look(), { deadly: 0.01 })
      if (isKilled) {
        this.#said.push('killed')
        await this.#worker.kill()
        await this.#begin()
      }
      if (this.#random() < 0.3) this.#open()
      if (this.#random() < 0.08) await this.#restart()
    }
    await this.#settle()
  }

  async #operate(): Promise<void> {
    const what = oneOf(this.#random, Object.keys(this.#operator))
    try {
      const answer = await this.#operator[what]?.()
      this.#said.push(`${what}: ${JSON.stringify(answer)}`)
    } catch (error) {
      if (!(error instanceof CqrsError)) throw error
      this.#said.push(`${what}: ${error.code} ${error.message.slice(0, 60)}`)
    }
  }

  async #append(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) await this.#site.move(oneOf(this.#random, ACCOUNTS), 1)
    this.#events += count
  }

  /** @param dies whether the builds of this worker end in their middle, and never come to their end */
  async #begin(dies = this.#random() < 0.2): Promise<void> {
    this.#gate = Promise.withResolvers<void>()
    this.#dies = dies
    const buildSteps = dies ? 1 : Number.POSITIVE_INFINITY
    this.#worker = await this.#site.work(this.#definition, {
      gate: this.#gate.promise,
      buildSteps,
      through: (control) => this.#turns.wrap(control),
    })
    if (this.#random() < 0.5) this.#open()
    await this.#turns.run(
      this.#worker.units.map(({ generations }) => generations.reconcile()),
      () => this.#look(),
    )
  }

  #open(): void {
    this.#gate.resolve()
  }

  async #end(): Promise<void> {
    this.#open()
    await this.#turns.run([this.#worker.stop()], async () => undefined)
  }

  async #restart(): Promise<void> {
    await this.#end()
    const { version, partitions } = this.#definition
    const next = {
      version: this.#random() < 0.4 ? version + 1 : version,
      partitions: this.#random() < 0.3 ? 3 - partitions : partitions,
    }
    this.#said.push(`restart as ${JSON.stringify(next)}`)
    this.#definition = { ...balances(), ...next } as ProjectionDefinition
    await this.#begin()
  }

  /** What has to be true at any moment. */
  async #look(): Promise<void> {
    const { generations = [] } = (await this.#worker.control.projection(NAME)) ?? {}
    const active = generations.filter(({ state }) => state === 'active')
    expect(active.length, this.#story()).toBe(1)
    if (active.some(({ purpose }) => purpose !== 'serve'))
      throw new Error(`${this.#story()}: of no such purpose`)
    const position = await this.#worker.position()
    if (!this.#mayGoBack) expect(position, this.#story()).toBeGreaterThanOrEqual(this.#seen)
    this.#seen = position
  }

  async #settle(): Promise<void> {
    if (this.#dies) {
      await this.#end()
      await this.#begin(false)
    }
    this.#open()
    await this.#turns.run([this.#worker.control.pause(NAME, false), this.#worker.settle()], () =>
      this.#look(),
    )
    const { generations = [], paused } = (await this.#worker.control.projection(NAME)) ?? {}
    const standing = generations.map(({ generation, state, error, parts }) => ({
      generation,
      state,
      error,
      parts,
    }))
    const story = `${this.#story()}\n${JSON.stringify({ paused, standing })}`
    const unfinished = generations.filter(({ state }) =>
      ['building', 'ready', 'returning', 'cancelling', 'pruning'].includes(state),
    )
    expect(
      unfinished.filter(
        ({ state, version }) => state !== 'returning' || version === this.#definition.version,
      ),
      story,
    ).toEqual([])
    const active = generations.find(({ state }) => state === 'active')
    const isCurrent =
      active?.version === this.#definition.version && active.partitions === this.#definition.partitions
    const wantsOther = this.#said.some((said) => said.startsWith('forceBack'))
    if (!wantsOther) expect(isCurrent, story).toBe(true)
    const kept = generations.filter(
      ({ state, version, partitions }) =>
        ['active', 'previous'].includes(state) &&
        version === this.#definition.version &&
        partitions === this.#definition.partitions,
    )
    if (isCurrent) {
      for (const { generation } of kept) {
        for (const account of ACCOUNTS) {
          const history = (await Array.fromAsync(this.#site.log.readStream(account))).flat()
          const document = await this.#worker.read(account, generation)
          const moves = history.length === 0 ? undefined : expect.objectContaining({ moves: history.length })
          expect(document, `${account} in ${generation}\n${story}`).toEqual(moves)
        }
      }
    }
    const files = generations
      .filter(({ state }) => state !== 'verified')
      .flatMap(({ generation, partitions: count }) =>
        count === 1
          ? [`${NAME}.${generation}.db`]
          : Array.from({ length: count }, (_, index) => `${NAME}.${generation}.${index}of${count}.db`),
      )
    expect(this.#worker.files().sort(), story).toEqual(files.sort())
    await this.#end()
  }

  #story(): string {
    return this.#said.join('\n')
  }
}

test(
  `whatever operators wish at the same time, one generation serves, and each wish ends (CQRS_TEST_SEED=${seed})`,
  async () => {
    for (let run = 0; run < SCENARIOS; run += 1) {
      await new Scenario(seededRandom(seed + run)).run().catch((cause) => {
        throw new Error(`CQRS_TEST_SEED=${seed + run}: ${cause.message}`, { cause })
      })
    }
  },
  SCENARIOS * 12_000,
)
