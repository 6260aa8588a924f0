import { expect, test } from 'vitest'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { generations, type Worker } from '../support/generations.ts'
import { balances, type Poison } from '../support/ledger-app.ts'
import { oneOf, seededRandom, testSeed } from '../support/random.ts'

const SCENARIOS = Number(process.env.CQRS_TEST_RUNS) || 25
const STEPS = 60
const ACCOUNTS = ['ada', 'bob']
const seed = testSeed()

/** Balances, with the positions of the events that they are made of. */
function traced(fails: Poison['fails'], version: number): ProjectionDefinition {
  const plain = balances({ fails })
  const handler = plain.handler('moved')
  return {
    ...plain,
    version,
    handler: (type) =>
      type === 'moved' && handler
        ? {
            key: handler.key,
            apply: (document: unknown, event, emit) => ({
              ...(handler.apply(document as never, event, emit) as object),
              positions: [...positionsOf(document), event.position],
            }),
          }
        : plain.handler(type),
  }
}

function positionsOf(document: unknown): number[] {
  return (document as { positions?: number[] } | undefined)?.positions ?? []
}

/** What befalls a view, and what operators do with its letters, while its generations come and go. */
class Scenario {
  readonly #site = generations()
  readonly #random: () => number
  readonly #failing = new Set<string>()
  /** Whose event stands at which position; the first one at 0. */
  readonly #events: string[] = []
  /** Events that were given up, and those of them that some other generation had applied by then. */
  readonly #givenUp = new Map<number, { readonly wasApplied: boolean; readonly wasRecorded: boolean }>()
  readonly #effectsGivenUp = new Set<string>()
  readonly #sent: string[] = []
  #version = 1
  #worker!: Worker
  #gate = Promise.withResolvers<void>()
  #isOpen = false

  constructor(random: () => number) {
    this.#random = random
  }

  get #live() {
    return (this.#worker.units[0] as Worker['units'][0]).generations
  }

  get #view() {
    return this.#live.view
  }

  readonly #does: Record<string, () => unknown> = {
    append: async () => {
      const account = oneOf(this.#random, ACCOUNTS)
      this.#events.push(account)
      await this.#site.move(account, -1)
    },
    poison: () => this.#failing.add(oneOf(this.#random, ACCOUNTS)),
    cure: () => this.#failing.delete(oneOf(this.#random, ACCOUNTS)),
    /** Everything but waiting for builds, which may be held. */
    move: async () => {
      await this.#worker.coordinator.reconcile()
      await this.#live.reconcile()
      while ((await this.#live.step()) !== 'at-head');
      await this.#live.retryDue()
      await new Promise(setImmediate)
    },
    step: async () => {
      await this.#live.reconcile()
      await this.#live.step()
    },
    heal: async () => {
      this.#failing.clear()
      this.#site.clock.now += 10_000
      await this.#live.retryDue()
    },
    later: () => {
      this.#site.clock.now += 10_000
    },
    send: async () => void this.#sent.push(...(await this.#worker.send())),
    redrive: async () => {
      const position = await this.#letter()
      if (position !== undefined && (await this.#live.redrive(position))) await this.#live.retry(position)
    },
    discard: async () => {
      if (this.#isOpen) await this.#worker.building()
      const position = await this.#letter()
      if (position === undefined) return
      const wasApplied = await this.#isApplied(position)
      const wasRecorded = await this.#isRecorded(position)
      if (await this.#live.discard(position, 'eve', 'a test'))
        this.#givenUp.set(position, { wasApplied, wasRecorded })
    },
    refuse: async () => {
      const [effect] = await this.#view.pendingEffects(1)
      const failure = { attempts: 2, error: 'refused', at: '2026-01-01T00:00:00.000Z' }
      if (effect) await this.#view.effectFailed(effect.idempotencyKey, failure)
    },
    redriveEffects: async () => (this.#view.current ? this.#view.redriveEffects() : 0),
    discardEffect: async () => {
      const [dead] = (await this.#view.current?.deadEffects(1)) ?? []
      if (!dead) return
      const discard = { by: 'eve', reason: 'a test', at: '2026-01-01T00:00:00.000Z' }
      if (await this.#view.discardEffect(dead.idempotencyKey, discard))
        this.#effectsGivenUp.add(dead.idempotencyKey)
    },
    rebuild: () => this.#worker.request({ restart: this.#random() < 0.3 }),
    rollback: () => this.#wish(['previous'], 'returning'),
    cancel: () => this.#wish(['building', 'ready'], 'cancelling'),
    prune: () => this.#wish(['previous', 'retired', 'failed'], 'pruning'),
    open: () => this.#open(),
    restart: () => this.#restart(),
    upgrade: () => {
      this.#version += 1
      return this.#restart()
    },
  }

  async run(): Promise<void> {
    const often = [
      'append',
      'append',
      'append',
      'poison',
      'heal',
      'move',
      'move',
      'step',
      'discard',
      'discard',
      'rebuild',
    ]
    const wishes = [...Object.keys(this.#does), ...often]
    const done: string[] = []
    await this.#begin()
    for (let step = 0; step < STEPS; step += 1) {
      const what = oneOf(this.#random, wishes)
      done.push(what)
      await this.#does[what]?.()
    }
    await this.#settle()
    await this.#check(done.join(' '))
    await this.#worker.stop()
  }

  async #begin(): Promise<void> {
    this.#gate = Promise.withResolvers<void>()
    this.#isOpen = false
    const fold = traced((account) => this.#failing.has(account), this.#version)
    const buildSteps = this.#random() < 0.3 ? 1 : Number.POSITIVE_INFINITY
    this.#worker = await this.#site.work(fold, { gate: this.#gate.promise, buildSteps })
    if (this.#random() < 0.5) this.#open()
    await this.#live.reconcile()
  }

  #open(): void {
    this.#isOpen = true
    this.#gate.resolve()
  }

  async #restart(): Promise<void> {
    this.#open()
    await this.#worker.stop()
    await this.#begin()
  }

  async #letter(): Promise<number | undefined> {
    const letters = (await this.#view.current?.letters({ after: 0, limit: 100 })) ?? []
    return letters.length === 0 ? undefined : oneOf(this.#random, letters).event.position
  }

  async #wish(from: readonly string[], to: 'returning' | 'cancelling' | 'pruning'): Promise<void> {
    const { generations = [] } = (await this.#worker.control.projection('balances')) ?? {}
    const fit = generations.filter(
      ({ state, version }) => from.includes(state) && (to !== 'returning' || version === this.#version),
    )
    if (fit.length > 0) await this.#worker.control.move('balances', oneOf(this.#random, fit).generation, to)
  }

  async #isApplied(position: number): Promise<boolean> {
    const { generations = [] } = (await this.#worker.control.projection('balances')) ?? {}
    const account = this.#events[position - 1] as string
    for (const { generation } of generations) {
      const document = await this.#worker.read(account, generation).catch(() => undefined)
      if (positionsOf(document).includes(position)) return true
    }
    return false
  }

  async #isRecorded(position: number): Promise<boolean> {
    const key = `balances:${position}:1`
    const recorded = [...(await this.#view.pendingEffects(1_000)), ...(await this.#view.deadEffects(1_000))]
    return this.#sent.includes(key) || recorded.some(({ idempotencyKey }) => idempotencyKey === key)
  }

  /** Nothing fails any more, and all that is wished and parked comes to its end. */
  async #settle(): Promise<void> {
    this.#failing.clear()
    this.#open()
    await this.#worker.stop()
    this.#worker = await this.#site.work(traced(() => false, this.#version))
    for (let round = 0; round < 5; round += 1) {
      await this.#worker.settle()
      for (const { event } of await this.#view.letters({ after: 0, limit: 100 })) {
        await this.#live.redrive(event.position)
      }
      this.#site.clock.now += 10_000
    }
    await this.#view.redriveEffects()
    this.#sent.push(...(await this.#worker.send()))
  }

  async #check(done: string): Promise<void> {
    expect(await this.#view.parkedCounts(), done).toEqual({ retrying: 0, dead: 0, waiting: 0 })
    const wrong: string[] = []
    const applied = (await Promise.all(ACCOUNTS.map((account) => this.#worker.read(account)))).flatMap(
      positionsOf,
    )
    for (let position = 1; position <= this.#events.length; position += 1) {
      const given = this.#givenUp.get(position)
      const times = applied.filter((one) => one === position).length
      if (times > 1 || (times === 0 && !given) || (times === 1 && given && !given.wasApplied))
        wrong.push(`${position} is applied ${times} times`)
      const key = `balances:${position}:1`
      const sent = this.#sent.filter((one) => one === key).length
      const mayLack = given !== undefined || this.#effectsGivenUp.has(key)
      if (sent > 1 || (sent === 0 && !mayLack) || (sent === 1 && given && !given.wasRecorded))
        wrong.push(`${key} is sent ${sent} times`)
    }
    expect(wrong, `${done}; given up: ${JSON.stringify([...this.#givenUp])}`).toEqual([])
  }
}

test(
  `what operators decide about letters holds in every generation (CQRS_TEST_SEED=${seed})`,
  async () => {
    for (let run = 0; run < SCENARIOS; run += 1) {
      await new Scenario(seededRandom(seed + run)).run().catch((cause) => {
        throw new Error(`CQRS_TEST_SEED=${seed + run}: ${cause.message}`, { cause })
      })
    }
  },
  SCENARIOS * 5_000,
)
