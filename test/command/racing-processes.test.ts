import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { BoundaryTrap } from '../support/boundary-trap.ts'
import type { KeyedAnswer, KeyedCommand } from '../support/executor-process.ts'
import { seededRandom, shuffled, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

const PROGRAM = new URL('../support/executor-process.ts', import.meta.url)
const SKUS = ['mug-1', 'mug-2', 'mug-3']

/** Commands that both processes get at the same time. */
const TOGETHER = 20

const KEYS = Array.from({ length: 200 }, (_, index) => `sell-${index}`)

/** Starts test/support/executor-process.ts on a log. */
async function executor(path: string, env: Readonly<Record<string, string>> = {}) {
  const child = fork(PROGRAM, [path], { env: { ...process.env, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  await once(child, 'message')
  return {
    exited,
    async execute(commands: readonly KeyedCommand[]): Promise<readonly KeyedAnswer[]> {
      const answered = once(child, 'message')
      child.send(commands)
      return (await answered)[0] as readonly KeyedAnswer[]
    },
  }
}

/** What each key asks for: always the same. */
function sell(idempotencyKey: string): KeyedCommand {
  const index = KEYS.indexOf(idempotencyKey)
  const sku = SKUS[index % SKUS.length]
  return { name: 'sell-item', input: { sku, quantity: 1 + (index % 4) }, idempotencyKey }
}

function add(sku: string): KeyedCommand {
  const input = { sku, name: 'Mug', priceCents: 100, quantity: 1_000 }
  return { name: 'add-inventory-item', input, idempotencyKey: `add-${sku}` }
}

/** A log with some items, and a way to read what was sold. */
async function shop(seed: number) {
  const path = join(tempFolder(), 'events.db')
  const owner = await executor(path)
  const added = await owner.execute(SKUS.map((sku) => add(sku)))
  expect(added).toMatchObject(SKUS.map(() => ({ kind: 'accepted', replayed: false })))
  const random = seededRandom(seed)
  return {
    path,
    owner,
    /** A process that has warmed up on the log. */
    async another(env: Readonly<Record<string, string>> = {}) {
      const process = await executor(path, env)
      await process.execute(SKUS.map((sku) => add(sku)))
      return process
    },
    /** Each key three times, in an order that follows from the seed. */
    rush: () => shuffled(random, Array.from({ length: 3 }, () => KEYS.map(sell)).flat()),
    async sales() {
      const log = openSqliteEventLog({ path })
      try {
        const { events } = await log.readFrom(SKUS.length, { limit: 1_000 })
        return events.filter(({ type }) => type === 'inventory-item-sold')
      } finally {
        await log.close()
      }
    },
  }
}

/** Every key has one answer, however often it was asked for, and one of them was the first. */
function expectOneAnswerEach(
  commands: readonly KeyedCommand[],
  answers: readonly KeyedAnswer[],
): Map<string, object> {
  const found = new Map<string, object>()
  commands.forEach(({ idempotencyKey }, index) => {
    const { replayed: _, ...answer } = answers[index] as KeyedAnswer & { replayed?: boolean }
    expect(answer).toMatchObject({ kind: 'accepted', events: 1 })
    expect(answer).toEqual(found.get(idempotencyKey) ?? answer)
    found.set(idempotencyKey, answer)
  })
  return found
}

const seed = testSeed()

test(`of many clients with one key, in two processes on one log, one is carried out (CQRS_TEST_SEED=${seed})`, async () => {
  const { owner, another, rush, sales } = await shop(seed)
  const other = await another()
  const [commandsHere, commandsThere] = [rush(), rush()]
  const [here, there]: [KeyedAnswer[], KeyedAnswer[]] = [[], []]
  // They set out together again and again: a busy machine lets one of them run far ahead.
  for (let from = 0; from < commandsHere.length; from += TOGETHER) {
    const [nextHere, nextThere] = await Promise.all([
      owner.execute(commandsHere.slice(from, from + TOGETHER)),
      other.execute(commandsThere.slice(from, from + TOGETHER)),
    ])
    here.push(...nextHere)
    there.push(...nextThere)
  }

  const answers = [...here, ...there]
  expect(expectOneAnswerEach([...commandsHere, ...commandsThere], answers).size).toBe(KEYS.length)
  const isFirst = (answer: KeyedAnswer) => answer.kind === 'accepted' && !answer.replayed
  expect(answers.filter(isFirst), 'each key is new once').toHaveLength(KEYS.length)
  expect(here.some(isFirst) && there.some(isFirst), 'both had a part in it').toBe(true)
  expect(await sales()).toHaveLength(KEYS.length)
})

test(`a key whose first process died between append and answer gets the first answer from another (CQRS_TEST_SEED=${seed})`, async () => {
  const { owner, another, rush, sales } = await shop(seed)
  const trap = new BoundaryTrap(join(tempFolder(), 'trap'))
  const victim = await another(trap.env)
  trap.set('append-stored')
  const shuffledCommands = rush()
  // The owner comes to this one last: so the victim stores it at once, however far the owner runs ahead.
  const [victims] = shuffledCommands as [KeyedCommand]
  const isVictims = ({ idempotencyKey }: KeyedCommand) => idempotencyKey === victims.idempotencyKey
  const commands = [
    ...shuffledCommands.filter((command) => !isVictims(command)),
    ...shuffledCommands.filter(isVictims),
  ]
  const answers: KeyedAnswer[] = []
  let unanswered: readonly KeyedCommand[] = []
  for (let from = 0; from < commands.length; from += TOGETHER) {
    const next = commands.slice(from, from + TOGETHER)
    if (!trap.sprung) unanswered = [victims, ...next.toReversed()]
    const atVictim = trap.sprung ? undefined : Promise.race([victim.execute(unanswered), victim.exited])
    answers.push(...(await owner.execute(next)))
    await atVictim
  }
  expect(await victim.exited).toEqual([null, 'SIGKILL'])
  expect(trap.sprung).toBe(true)

  const again = await owner.execute(unanswered)
  expect(again.every((answer) => answer.kind === 'accepted' && answer.replayed)).toBe(true)
  const found = expectOneAnswerEach([...commands, ...unanswered], [...answers, ...again])
  const sold = await sales()
  expect(sold, 'nothing was lost or doubled').toHaveLength(KEYS.length)
  expect(sold.map(({ position }) => position)).toEqual(
    [...found.values()].map((answer) => (answer as { position: number }).position).sort((a, b) => a - b),
  )
})
