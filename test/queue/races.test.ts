import { expect, test } from 'vitest'
import type { QueueStore } from '../../src/queue/contract.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { DONE, FAILED, MISSING, STOPPED, silent } from '../support/queue-harness.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/*
 * Everything at once, and nothing waits for anything: enqueues, answers, redrives, discards, purges, pauses, new
 * settings, on a store that refuses now and then, answers late, or does what it is asked without an answer. The model
 * test beside this one takes such steps one after the other and knows what has to come of each; here it is only known
 * what must never happen.
 */

const GROUPS = 3
const STEPS = 300

const seed = testSeed()

interface Sent {
  id: string
  group: number
  state: 'open' | 'refused' | 'unknown' | 'accepted' | 'done' | 'discarded'
  deliveries: number
}

interface Open {
  message: Sent
  answer(outcome: typeof DONE | typeof FAILED): void
}

/** What may be done twice, or is known again, so that nobody need know whether it was done. */
const MAY_BE_LOST = [
  ...['enqueue', 'acknowledge', 'recordFailure', 'deadLetter', 'read', 'load'],
  ...['define', 'setPaused', 'counts', 'queues', 'redrive', 'redriveMessage'],
]

const LOST = new Error('whether it was done is not known')

/** Refuses some calls before anything is done, and loses the answers of some; the others come late, in their order. */
function unreliable(store: QueueStore, fails: () => boolean, turns: () => number): QueueStore {
  let last: Promise<unknown> = Promise.resolve()
  return new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...input: unknown[]) => Promise<unknown>
      return async (...input: unknown[]): Promise<unknown> => {
        if (fails()) throw new Error('not now')
        const [answer, before] = [method.apply(target, input), last]
        last = Promise.allSettled([before, answer]).then(async () => {
          for (let turn = turns(); turn > 0; turn -= 1) await new Promise(setImmediate)
        })
        await last
        if (MAY_BE_LOST.includes(String(name)) && fails()) throw LOST
        return answer
      }
    },
  })
}

async function play(seed: number, { ordered }: { ordered: boolean }): Promise<void> {
  const random = seededRandom(seed)
  const pick = (below: number) => Math.floor(random() * below)
  const clock = new FakeClock()
  let calm = true
  const inner = await openSqliteQueueStore({ folder: tempFolder() })
  const store = unreliable(
    inner,
    () => !calm && random() < 0.05,
    () => (calm ? 0 : pick(4)),
  )
  const settings = () => ({
    type: 'fifo',
    message_group_field: 'group',
    concurrency: 1 + pick(4),
    max_retries: 1 + pick(3),
    max_stops: 1 + pick(3),
    backoff_ms: 10 * pick(3),
    max_backoff_ms: 40,
  })
  const queue = await DurableQueue.open({
    store,
    log: silent,
    clock,
    random,
    probeMs: 50,
    storeRetryMs: 20,
    limits: { messages: 6, tracked: 12 + pick(20), perGroup: 1 + pick(3) },
    queues: { jobs: settings() },
  })
  const sent: Sent[] = []
  const open: Open[] = []
  const delivered: Sent[] = []
  queue.start(
    ({ message: { id } }) =>
      new Promise((resolve) => {
        const message = sent[Number(id)] as Sent
        expect(open.map((each) => each.message.group)).not.toContain(message.group)
        expect(message.state, `${id} is delivered`).not.toMatch(/refused|done|discarded/)
        message.deliveries += 1
        delivered.push(message)
        const delivery: Open = {
          message,
          answer(outcome) {
            open.splice(open.indexOf(delivery), 1)
            if (outcome === DONE) message.state = 'done'
            resolve(outcome)
          },
        }
        open.push(delivery)
      }),
  )
  let purged = 0
  const underWay = new Set<Promise<unknown>>()
  // That the store refuses is what this is about.
  const begin = (work: Promise<unknown>) => underWay.add(work.catch(() => undefined))
  const enqueue = () => {
    const message: Sent = { id: String(sent.length), group: pick(GROUPS), state: 'open', deliveries: 0 }
    sent.push(message)
    const data = { group: message.group }
    begin(
      queue.enqueue({ queue: 'jobs', functionId: `job::${pick(2)}`, data, id: message.id }).then(
        () => {
          if (message.state === 'open') message.state = 'accepted'
        },
        (error) => {
          if (error !== LOST) message.state = 'refused'
          else if (message.state === 'open') message.state = 'unknown'
        },
      ),
    )
  }
  const discard = async () => {
    const letters = await queue.deadLetters('jobs', 0, 10)
    const letter = letters[pick(letters.length)]
    if (letter && (await queue.discard('jobs', letter.id)))
      (sent[Number(letter.id)] as Sent).state = 'discarded'
  }
  const redriveOne = async () => {
    const letters = await queue.deadLetters('jobs', 0, 10)
    const letter = letters[pick(letters.length)]
    if (letter) await queue.redriveMessage('jobs', letter.id)
  }
  const answerOne = () => {
    const outcome = [DONE, DONE, FAILED, FAILED, STOPPED, MISSING][pick(6)] ?? DONE
    open[pick(open.length)]?.answer(outcome)
  }
  const steps: [number, () => void][] = [
    [30, enqueue],
    [36, answerOne],
    [18, () => clock.advance(pick(60))],
    [5, () => begin(queue.define('jobs', settings()))],
    [5, () => begin(queue.setPaused('jobs', pick(3) === 0))],
    [4, () => queue.functionsAvailable(pick(2) === 0 ? undefined : [`job::${pick(2)}`])],
    [ordered ? 0 : 6, () => begin(redriveOne())],
    [ordered ? 0 : 3, () => begin(queue.redrive('jobs'))],
    [3, () => begin(discard())],
    [ordered ? 0 : 1, () => pick(4) === 0 && begin(queue.purge('jobs').then((count) => (purged += count)))],
  ]
  const bag = steps.flatMap(([weight, act]) => Array.from({ length: weight }, () => act))
  calm = false
  for (let step = 0; step < STEPS; step += 1) {
    bag[pick(bag.length)]?.()
    if (pick(3) > 0) await inner.counts('jobs')
    for (let turn = pick(4); turn > 0; turn -= 1) await new Promise(setImmediate)
  }

  calm = true
  await Promise.all(underWay)
  await queue.setPaused('jobs', false)
  for (let idle = 0; idle < 200; idle += 1) {
    if (open.length > 0) idle = 0
    while (open.length > 0) open[0]?.answer(DONE)
    clock.advance(60)
    await store.counts('jobs')
    if (((await queue.status('jobs'))[0]?.depth ?? 0) === 0) break
  }
  const [status] = await queue.status('jobs')
  const dead = await queue.deadLetters('jobs', 0, 1_000)
  expect(status).toMatchObject({ depth: 0, dead: dead.length, inFlight: 0, retrying: 0, missing: [] })
  expect(status?.memory).toEqual({ held: 0, tracked: 0 })
  const isDead = new Set(dead.map(({ id }) => id))
  const lost = sent.filter(({ id, state }) => state === 'accepted' && !isDead.has(id))
  expect(sent.filter(({ state }) => state === 'open')).toEqual([])
  if (ordered) {
    expect(lost).toEqual([])
    const first = delivered.filter((message, index) => delivered.indexOf(message) === index)
    for (let group = 0; group < GROUPS; group += 1) {
      const ids = first.filter((message) => message.group === group).map(({ id }) => Number(id))
      expect(ids).toEqual(ids.toSorted((a, b) => a - b))
    }
  } else expect(lost.length).toBeLessThanOrEqual(purged)
  await queue.stop(0)
}

test(`messages that are not redriven come in order, one of a group at a time, and none is lost (CQRS_TEST_SEED=${seed})`, async () => {
  for (let run = 0; run < 5; run += 1) await play(seed + run, { ordered: true })
})

test(`whatever operators do meanwhile, no message is lost, stuck, or delivered again after it is done (CQRS_TEST_SEED=${seed})`, async () => {
  for (let run = 0; run < 5; run += 1) await play(seed + run, { ordered: false })
})
