import { expect, test } from 'vitest'
import { CqrsError, isCqrsError } from '../../src/kernel/errors.ts'
import type { QueueStore } from '../../src/queue/contract.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import type { DeliveryOutcome } from '../../src/queue/runner.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { DONE, FAILED, MISSING, STOPPED, silent } from '../support/queue-harness.ts'
import { oneOf, seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/*
 * Any call of the store may be refused, or carried out without an answer, while messages are sent and delivered, the
 * queue changes its order, and operators pause, redrive, discard and purge it, all at once; and the process may end at
 * any moment. Now and then there is a pause in which everything is checked:
 *
 * - what was accepted is in the store, unless it succeeded, was discarded or perhaps purged; what was refused is not
 * - the counts are those of the rows
 * - the queue does what it is listed as: if it is paused it delivers nothing, else everything
 * - what was redriven was delivered before it was a dead letter again
 * - a message that was sent while the queue was fifo has a group, and of a group one message is delivered at a time
 */

const GROUPS = 3
const ROUNDS = 5
const STEPS = 70

const seed = testSeed()

interface Sent {
  readonly id: string
  readonly group: number
  state: 'sent' | 'accepted' | 'refused'
  /** It succeeded, or an operator may have deleted it. */
  mayBeGone: boolean
  /** Succeeded in this process, so it must not be delivered again; after a restart it may be. */
  isDone: boolean
  /** Whether it must have a group; undefined if the order of the queue was changing when it was sent. */
  isGrouped: boolean | undefined
  deliveries: number
  /** Its deliveries when it was last redriven; -1 if it never was. */
  redrivenAt: number
}

interface Open {
  readonly message: Sent
  readonly group: string | undefined
  readonly answer: (outcome: DeliveryOutcome) => void
}

class World {
  readonly random: () => number
  readonly #folder = tempFolder()
  readonly #clock = new FakeClock()
  /** The store fails. */
  isRough = false
  inner!: QueueStore
  queue!: DurableQueue
  /** Which process this is: answers to deliveries of an earlier one go nowhere. */
  #life = 0
  readonly sent: Sent[] = []
  open: Open[] = []
  readonly #underWay = new Set<Promise<unknown>>()
  /** Changes with each definition that begins or ends. */
  #definitions = 0
  #defining = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  async start(): Promise<void> {
    this.inner = await openSqliteQueueStore({ folder: this.#folder })
    this.queue = await DurableQueue.open({
      store: this.#unreliable(this.inner),
      log: silent,
      clock: this.#clock,
      random: this.random,
      probeMs: 50,
      storeRetryMs: 20,
      limits: { messages: 6, tracked: 12 + this.below(20), perGroup: 1 + this.below(3) },
    })
    const life = this.#life
    this.queue.start(({ message: { id, group } }) => this.#deliver(id, group, life))
  }

  async stop(): Promise<void> {
    this.#life += 1
    this.open = []
    await this.queue.stop(0)
    await Promise.allSettled(this.#underWay)
  }

  async restart(): Promise<void> {
    const wasRough = this.isRough
    await this.stop()
    // Its success may not have been stored.
    for (const message of this.sent) message.isDone = false
    this.isRough = false
    await this.start()
    this.isRough = wasRough
  }

  #unreliable(store: QueueStore): QueueStore {
    let last: Promise<unknown> = Promise.resolve()
    const fails = () => this.isRough && this.random() < 0.08
    const unavailable = () => new CqrsError('CQRS_STORE_UNAVAILABLE', 'The writer thread ended.')
    return new Proxy(store, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...input: unknown[]) => Promise<unknown>
        if (name === 'close') return method.bind(target)
        return async (...input: unknown[]): Promise<unknown> => {
          if (fails()) throw unavailable()
          const [answer, before] = [method.apply(target, input), last]
          last = Promise.allSettled([before, answer]).then(() => this.turns(this.isRough ? 4 : 1))
          await last
          if (fails()) throw unavailable()
          return answer
        }
      },
    })
  }

  async turns(below: number): Promise<void> {
    for (let turn = this.below(below); turn > 0; turn -= 1) await new Promise(setImmediate)
  }

  #deliver(id: string, group: string | undefined, life: number): Promise<DeliveryOutcome> {
    return new Promise((resolve) => {
      if (life !== this.#life) return
      const message = this.sent[Number(id)] as Sent
      if (group !== undefined) expect(this.open.map((each) => each.group)).not.toContain(group)
      expect(message.state).not.toBe('refused')
      expect(message.isDone, `${id} is done`).toBe(false)
      if (message.isGrouped !== undefined)
        expect(group !== undefined, `${id} has a group`).toBe(message.isGrouped)
      message.deliveries += 1
      const delivery: Open = {
        message,
        group,
        answer: (outcome) => {
          this.open = this.open.filter((each) => each !== delivery)
          if (outcome === DONE) message.isDone = message.mayBeGone = true
          resolve(outcome)
        },
      }
      this.open.push(delivery)
    })
  }

  /** That the store refuses is what this is about; nothing else may go wrong. */
  #begin(work: Promise<unknown>): void {
    const begun = work.catch((error) => {
      if (!isCqrsError(error, 'CQRS_STORE_UNAVAILABLE', 'CQRS_CLOSED', 'CQRS_QUEUE_INVALID')) throw error
    })
    this.#underWay.add(begun)
  }

  async idle(ms: number, rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      this.#clock.advance(ms)
      await this.inner.counts('jobs')
      await this.turns(2)
    }
  }

  /** What may happen, and how often. */
  readonly steps: readonly [number, () => void][] = [
    [20, () => this.#begin(this.#enqueue())],
    [40, () => this.#answerOne()],
    [18, () => this.#clock.advance(this.below(60))],
    [8, () => this.#begin(this.#define())],
    [6, () => this.#begin(this.queue.setPaused('jobs', this.below(3) === 0))],
    [4, () => this.queue.functionsAvailable(this.below(2) === 0 ? undefined : ['job::0'])],
    [8, () => this.#begin(this.#redriveOne())],
    [5, () => this.#begin(this.#redrive())],
    [3, () => this.#begin(this.#discard())],
    [1, () => this.#begin(this.#purge())],
  ]

  #answerOne(): void {
    const outcomes = [DONE, DONE, FAILED, FAILED, FAILED, STOPPED, MISSING]
    this.open[this.below(this.open.length)]?.answer(oneOf(this.random, outcomes))
  }

  async #enqueue(): Promise<void> {
    const message: Sent = {
      id: String(this.sent.length),
      group: this.below(GROUPS),
      state: 'sent',
      mayBeGone: false,
      isDone: false,
      isGrouped: undefined,
      deliveries: 0,
      redrivenAt: -1,
    }
    this.sent.push(message)
    const before = this.#defining === 0 ? this.#definitions : undefined
    const { id, group } = message
    const send = { queue: 'jobs', functionId: `job::${this.below(2)}`, data: { group }, id }
    try {
      await this.queue.enqueue(send)
      message.state = 'accepted'
    } catch (error) {
      if (!isCqrsError(error, 'CQRS_STORE_UNAVAILABLE', 'CQRS_CLOSED')) message.state = 'refused'
      throw error
    }
    const [stored] = await this.inner.queues(['jobs'])
    if (before === this.#definitions && stored) message.isGrouped = stored.settings.type === 'fifo'
  }

  async #define(): Promise<void> {
    this.#definitions += 1
    this.#defining += 1
    await this.define().finally(() => {
      this.#definitions += 1
      this.#defining -= 1
    })
  }

  async define(): Promise<void> {
    await this.queue.define('jobs', {
      ...(this.below(2) === 0 && { type: 'fifo', message_group_field: 'group' }),
      concurrency: 1 + this.below(4),
      max_retries: 1 + this.below(3),
      max_stops: 1 + this.below(3),
      backoff_ms: 10 * this.below(3),
      max_backoff_ms: 40,
    })
  }

  async #letters(): Promise<Sent[]> {
    const letters = await this.inner.deadLetters('jobs', 0, 1_000)
    return letters.map(({ id }) => this.sent[Number(id)] as Sent)
  }

  async #redriveOne(): Promise<void> {
    const letters = await this.#letters()
    const letter = letters[this.below(letters.length)]
    const deliveries = letter?.deliveries ?? 0
    if (letter && (await this.queue.redriveMessage('jobs', letter.id))) letter.redrivenAt = deliveries
  }

  async #redrive(): Promise<void> {
    const letters = (await this.#letters()).map((letter) => ({ letter, deliveries: letter.deliveries }))
    await this.queue.redrive('jobs')
    for (const { letter, deliveries } of letters) letter.redrivenAt = deliveries
  }

  async #discard(): Promise<void> {
    const letters = await this.#letters()
    const letter = letters[this.below(letters.length)]
    if (!letter) return
    letter.mayBeGone = true
    await this.queue.discard('jobs', letter.id)
  }

  async #purge(): Promise<void> {
    try {
      await this.queue.purge('jobs')
    } finally {
      for (const message of this.sent) message.mayBeGone = true
    }
  }

  async check(): Promise<void> {
    this.isRough = false
    await Promise.all(this.#underWay)
    await this.idle(25, 8)
    // Together, so that nothing is stored in between.
    const [[stored], { messages }, letters] = await Promise.all([
      this.inner.queues(['jobs']),
      this.inner.read('jobs', 0, 100_000, Number.MAX_SAFE_INTEGER),
      this.#letters(),
    ])
    expect(stored).toMatchObject({ depth: messages.length, dead: letters.length })
    for (const { id, deliveries, redrivenAt } of letters) {
      expect(deliveries, `${id} was delivered after it was redriven`).toBeGreaterThan(redrivenAt)
    }
    const there = new Set([...messages, ...letters].map(({ id }) => id))
    const missing = this.sent.filter(
      ({ id, state, mayBeGone }) => state === 'accepted' && !mayBeGone && !there.has(id),
    )
    expect(missing).toEqual([])
    expect(this.sent.filter(({ id, state }) => state === 'refused' && there.has(id))).toEqual([])
    const [listed] = await this.queue.list(['jobs'])
    if (listed?.paused) await this.#checkThatItRests()
    else await this.#checkThatItDelivers()
  }

  async #checkThatItRests(): Promise<void> {
    const count = () => this.sent.reduce((sum, { deliveries }) => sum + deliveries, 0)
    const before = count()
    while (this.open.length > 0) this.open[0]?.answer(FAILED)
    await this.idle(60, 8)
    expect(count()).toBe(before)
  }

  async #checkThatItDelivers(): Promise<void> {
    for (let round = 0; round < 200; round += 1) {
      while (this.open.length > 0) this.open[0]?.answer(DONE)
      await this.idle(60, 1)
      if ((await this.inner.counts('jobs'))?.depth === 0) break
    }
    await this.idle(60, 2)
    const [listed] = await this.queue.list(['jobs'])
    expect(listed).toMatchObject({ depth: 0, inFlight: 0, retrying: 0, memory: { held: 0, tracked: 0 } })
    // Without letters, too, its order can change.
    for (const letter of await this.#letters()) {
      letter.mayBeGone = true
      await this.queue.discard('jobs', letter.id)
    }
  }
}

async function play(seed: number): Promise<void> {
  const world = new World(seed)
  await world.start()
  try {
    await world.define()
    const bag = world.steps.flatMap(([weight, act]) => Array.from({ length: weight }, () => act))
    for (let round = 0; round < ROUNDS; round += 1) {
      world.isRough = true
      for (let step = 0; step < STEPS; step += 1) {
        oneOf(world.random, bag)()
        if (world.below(3) > 0) await world.inner.counts('jobs')
        await world.turns(4)
        if (world.below(150) === 0) await world.restart()
      }
      await world.check()
    }
  } finally {
    await world.stop()
  }
}

test(`whatever answers of the store are lost, what the queue tells and what it does agree (CQRS_TEST_SEED=${seed})`, async () => {
  for (let run = 0; run < 4; run += 1) await play(seed + run)
})
