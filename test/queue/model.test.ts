import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DONE, FAILED, MISSING, queueHarness, STOPPED } from '../support/queue-harness.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

/*
 * Random histories of a fifo and a standard queue, next to a model of what must become of every message.
 * A failure prints its seed and path; set QUEUE_SEED to repeat it.
 */

const MAX_RETRIES = 2
const MAX_STOPS = 2
const GROUPS = 2

interface Modelled {
  id: string
  queue: 'grouped' | 'plain'
  group: string
  state: 'waiting' | 'done' | 'dead' | 'discarded' | 'purged'
  attempts: number
  stops: number
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('enqueue' as const), pick: fc.nat(), plain: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('duplicate' as const), pick: fc.nat() }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      pick: fc.nat(),
      outcome: fc.constantFrom('done', 'failed', 'failed', 'failed', 'stopped', 'stopped', 'missing'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(50, 250, 1_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('redrive' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('redrive-one' as const, 'discard' as const), pick: fc.nat() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const), plain: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'reconnect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), paused: fc.boolean() }) },
)

const outcomes = { done: DONE, failed: FAILED, stopped: STOPPED, missing: MISSING }
const settings = { max_retries: MAX_RETRIES, max_stops: MAX_STOPS, backoff_ms: 100, max_backoff_ms: 200 }

async function play(steps: (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[], folder: string) {
  const model: Modelled[] = []
  let harness = await openHarness()

  function openHarness() {
    return queueHarness(
      {
        limits: { messages: 4, tracked: 30, perGroup: 2 },
        probeMs: 500,
        queues: {
          grouped: { ...settings, type: 'fifo', message_group_field: 'group', concurrency: 2 },
          plain: { ...settings, concurrency: 2 },
        },
      },
      folder,
    )
  }

  function find(id: string): Modelled {
    const found = model.find((message) => message.id === id)
    if (!found) throw new Error(`delivered an unknown message ${id}`)
    return found
  }

  let checked = 0
  /** Were in flight when the link was lost: they are delivered again before older ones that were redriven. */
  const resent = new Set<string>()
  /** Every delivery since the last check was allowed. */
  function checkDeliveries(): void {
    for (const id of harness.delivered.slice(checked)) {
      const message = find(id)
      expect(message.state).toBe('waiting')
      if (message.queue !== 'grouped' || resent.delete(id)) continue
      const older = model.find(
        ({ group, queue, state }) => queue === 'grouped' && group === message.group && state === 'waiting',
      )
      expect(older?.id).toBe(id)
    }
    checked = harness.delivered.length
    for (const { id, attempts } of harness.open) expect(attempts).toBe(find(id).attempts)
    for (const queue of ['grouped', 'plain']) {
      expect(harness.open.filter((delivery) => delivery.queue === queue).length).toBeLessThanOrEqual(2)
    }
  }

  async function settle(): Promise<void> {
    await harness.settled()
    checkDeliveries()
  }

  function note(message: Modelled, outcome: keyof typeof outcomes): void {
    // What was under way when its queue was purged ends as it would, and is gone.
    if (message.state === 'purged') return
    if (outcome === 'done') message.state = 'done'
    if (outcome === 'failed') message.attempts += 1
    if (outcome === 'stopped') message.stops += 1
    const dead = outcome === 'failed' ? message.attempts >= MAX_RETRIES : message.stops >= MAX_STOPS
    if ((outcome === 'failed' || outcome === 'stopped') && dead) message.state = 'dead'
  }

  function revive(message: Modelled): void {
    Object.assign(message, { state: 'waiting', attempts: 0, stops: 0 })
  }

  const pickDead = (pick: number) => {
    const dead = model.filter(({ state }) => state === 'dead')
    return dead[pick % Math.max(1, dead.length)]
  }

  async function take(action: (typeof steps)[number]): Promise<void> {
    switch (action.do) {
      case 'enqueue': {
        const id = `m${model.length}`
        const queue = action.plain ? 'plain' : 'grouped'
        const group = String(action.pick % GROUPS)
        model.push({ id, queue, group, state: 'waiting', attempts: 0, stops: 0 })
        await harness.enqueue(id, { group }, { queue })
        break
      }
      case 'duplicate': {
        const message = model[action.pick % Math.max(1, model.length)]
        if (message) await harness.enqueue(message.id, { group: 'other' }, { queue: message.queue })
        break
      }
      case 'answer': {
        const delivery = harness.open[action.pick % Math.max(1, harness.open.length)]
        if (!delivery) break
        const outcome = action.outcome as keyof typeof outcomes
        note(find(delivery.id), outcome)
        delivery.answer(outcomes[outcome])
        break
      }
      case 'wait':
        harness.clock.advance(action.ms)
        break
      case 'redrive':
        for (const queue of ['grouped', 'plain'] as const) {
          const dead = model.filter((message) => message.queue === queue && message.state === 'dead')
          for (const message of dead) revive(message)
          expect(await harness.queue.redrive(queue)).toBe(dead.length)
        }
        break
      case 'redrive-one':
      case 'discard': {
        const message = pickDead(action.pick)
        if (!message) break
        if (action.do === 'discard') {
          message.state = 'discarded'
          expect(await harness.queue.discard(message.queue, message.id)).toBe(true)
        } else {
          revive(message)
          expect(await harness.queue.redriveMessage(message.queue, message.id)).toBe(true)
        }
        break
      }
      case 'purge': {
        const queue = action.plain ? 'plain' : 'grouped'
        const waiting = model.filter((message) => message.queue === queue && message.state === 'waiting')
        for (const message of waiting) message.state = 'purged'
        expect(await harness.queue.purge(queue)).toBe(waiting.length)
        break
      }
      case 'reopen':
        await harness.queue.stop(0)
        harness = await openHarness()
        checked = 0
        harness.start()
        break
      case 'reconnect': {
        const old = harness.open.splice(0)
        for (const { id } of old) resent.add(id)
        harness.queue.reconnected()
        for (const delivery of old) delivery.answer(FAILED)
        break
      }
      case 'pause':
        for (const queue of ['grouped', 'plain']) await harness.queue.setPaused(queue, action.paused)
        break
    }
  }

  harness.start()
  for (const action of steps) {
    await take(action)
    await settle()
  }

  for (const queue of ['grouped', 'plain']) await harness.queue.setPaused(queue, false)
  const purged = () => harness.open.filter(({ id }) => find(id).state === 'purged').length
  const left = () => model.filter(({ state }) => state === 'waiting').length + purged()
  while (left() > 0) {
    const before = left()
    await eventually(() => {
      harness.clock.advance(100)
      return harness.open.length > 0
    }, 2_000)
    checkDeliveries()
    for (const delivery of [...harness.open]) {
      note(find(delivery.id), 'done')
      delivery.answer(DONE)
    }
    await settle()
    expect(left()).toBeLessThan(before)
  }
  for (const queue of ['grouped', 'plain'] as const) {
    const dead = model.filter((message) => message.queue === queue && message.state === 'dead')
    expect(await harness.status(queue)).toMatchObject({ depth: 0, dead: dead.length, inFlight: 0 })
    const letters = await harness.queue.deadLetters(queue, 0, 1_000)
    expect(letters.map(({ id }) => id)).toEqual(dead.map(({ id }) => id))
    expect(letters.map(({ attempts }) => attempts)).toEqual(dead.map(({ attempts }) => attempts))
  }
  await harness.queue.stop(0)
}

test('whatever happens in whatever order, every message ends as the model says, in the order of its group', async () => {
  const seed = process.env.QUEUE_SEED === undefined ? undefined : Number(process.env.QUEUE_SEED)
  const folder = tempFolder()
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
      run += 1
      return play(steps, `${folder}/${run}`)
    }),
    { numRuns: Number(process.env.QUEUE_RUNS ?? 20), ...(seed === undefined ? {} : { seed }) },
  )
}, 300_000)
