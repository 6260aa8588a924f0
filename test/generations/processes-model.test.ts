import { test } from 'vitest'
import { unitsOf } from '../../src/kernel/unit.ts'
import type { Wish } from '../support/gated-people.ts'
import { ACCOUNTS } from '../support/generations-truth.ts'
import { GenerationsWorld } from '../support/generations-world.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/*
 * Projections workers with their build threads, operators and a reader, as processes of their own on one data folder: which call of
 * which of them comes next is drawn, and where one of them ends, or meets an error of the disk. What each of them has to
 * see, and what has to come of it all, is known from the plain log.
 */

const SCENARIOS = Number(process.env.CQRS_TEST_RUNS) || 10
const STEPS = 900
const seed = testSeed()

/** What operators wish of a view, and how often other code is to run: everything, or much of what belongs together. */
const THEMES: readonly { readonly wishes: readonly Wish[]; readonly deploys: number }[] = [
  {
    wishes: [
      'rebuild',
      'rebuild',
      'rebuild --force',
      'rebuild --require-parity',
      'rebuild --require-parity --force',
      'rebuild --until',
      'rebuild --until --force',
      'verify',
      'rollback',
      'rollback',
      'rollback --force',
      'cancel',
      'prune',
      'prune --keep-previous',
      'pause',
      'resume',
      'resume',
    ],
    deploys: 0.004,
  },
  {
    wishes: ['rollback', 'rollback', 'rollback --force', 'rollback --force', 'rebuild', 'cancel'],
    deploys: 0.008,
  },
  { wishes: ['rebuild', 'rebuild', 'rollback', 'rollback', 'cancel', 'prune'], deploys: 0 },
  {
    wishes: [
      'rebuild --require-parity',
      'rebuild --require-parity',
      'rollback',
      'verify',
      'rebuild --until',
      'prune',
    ],
    deploys: 0.002,
  },
]

async function play(random: () => number): Promise<void> {
  const first = { version: 1, partitions: between(random, 1, 2) }
  const world = new GenerationsWorld(tempFolder(), random, first)
  const chance = (share: number) => random() < share
  const { wishes, deploys } = oneOf(random, THEMES)
  const fails = oneOf(random, [0, 0.003, 0.01, 0.03])
  await world.begin()
  try {
    for (let count = between(random, 1, 12); count > 0; count -= 1) world.append()
    for (let step = 0; step < STEPS; step += 1) {
      world.bury()
      if (world.workers.length < 2 && chance(0.05)) world.startWorker()
      if (world.workers.length > 0) {
        const worker = oneOf(random, world.workers)
        if (chance(0.1)) void worker.take(oneOf(random, unitsOf(worker.projection)))
        if (worker.units.size > 0) {
          const live = oneOf(random, [...worker.units.values()])
          if (chance(0.25)) void worker.look(live)
          if (chance(0.25)) void worker.decide(live)
          if (chance(0.2)) void worker.catchUp(live)
          if (chance(0.03)) world.discard(worker, live.unit.name)
          if (chance(0.03)) world.redrive(worker, live.unit.name)
          if (chance(0.02)) world.redriveEffects(worker, live.unit.name)
          if (chance(0.002)) void worker.letGo(live)
        }
      }
      if (chance(0.02)) world.ask(between(random, 0, 1), oneOf(random, wishes))
      if (chance(0.05)) world.query(0)
      if (chance(0.05)) world.append()
      if (chance(0.01)) world.truth.failing.add(oneOf(random, ACCOUNTS))
      if (chance(0.015)) world.truth.failing.clear()
      if (chance(0.03)) world.later()
      if (chance(0.01)) world.effects(oneOf(random, ['sent', 'sent', 'unreachable', 'refused'] as const))
      if (chance(0.004)) world.log.damagedAt = world.log.events.length
      if (chance(0.02)) world.log.damagedAt = Number.POSITIVE_INFINITY
      if (chance(deploys)) await world.deploy()
      await new Promise(setImmediate)
      for (let calls = between(random, 0, 12); calls > 0; calls -= 1) {
        const ends = calls === 1 && chance(0.008)
        const fate = ends ? oneOf(random, ['ends before', 'ends after'] as const) : 'runs'
        await world.release(chance(fails) ? 'fails' : fate)
      }
    }
    await world.assertSettled()
  } catch (cause) {
    throw new Error(`${(cause as Error).message}\n${world.story.join('\n')}`, { cause })
  } finally {
    world.end()
  }
}

test(
  `whatever processes do at the same time, one generation serves, and each wish ends (CQRS_TEST_SEED=${seed})`,
  async () => {
    for (let run = 0; run < SCENARIOS; run += 1) {
      await play(seededRandom(seed + run)).catch((cause) => {
        throw new Error(`CQRS_TEST_SEED=${seed + run}: ${cause.message}`, { cause })
      })
    }
  },
  SCENARIOS * 12_000,
)
