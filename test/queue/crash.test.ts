import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventually } from '../support/until.ts'

/** Starts test/support/queue-process.ts; `said` has what it reported, as words. */
function queueProcess(folder: string, first: number, count: number) {
  const program = new URL('../support/queue-process.ts', import.meta.url).pathname
  const report = join(tempFolder(), 'report')
  writeFileSync(report, '')
  const child = spawn(process.execPath, [program, folder, report, String(first), String(count)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  const said = (): string[][] =>
    readFileSync(report, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' '))
  return {
    pid: child.pid,
    said,
    count: (word: string) => said().filter(([first]) => first === word).length,
    ended,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const idsOf = (said: string[][], word: string) => said.filter(([first]) => first === word).map(([, id]) => id)

async function stored(folder: string) {
  const store = await openSqliteQueueStore({ folder })
  const waiting: string[] = []
  const dead = []
  for (const { name } of await store.queues()) {
    waiting.push(...(await store.read(name, 0, 1e6, 1e9)).messages.map(({ id }) => id))
    dead.push(...(await store.deadLetters(name, 0, 1e6)))
  }
  const counts = await store.queues()
  await store.close()
  return { waiting, dead, counts }
}

test('kill -9 while enqueuing and delivering loses no acknowledged message, doubles none, keeps attempts', async () => {
  const folder = tempFolder()
  const said: string[][] = []
  // Far more than are stored before the kill, also if this process gets no turn for a while.
  const perRound = 9_000
  for (let round = 0; round < 5; round += 1) {
    const victim = queueProcess(folder, round * 10_000, perRound)
    await eventually(() => victim.count('stored') >= 100 + round * 250, 60_000)
    await victim.kill()
    said.push(...victim.said())
    expect(victim.count('finished')).toBe(0)

    const { waiting, dead, counts } = await stored(folder)
    const all = [...waiting, ...dead.map(({ id }) => id)]
    expect(new Set(all).size).toBe(all.length)
    const known = new Set([...all, ...idsOf(said, 'done')])
    expect(idsOf(said, 'stored').filter((id) => !known.has(id))).toEqual([])
    expect(counts.reduce((sum, { depth }) => sum + depth, 0)).toBe(waiting.length)
  }

  const last = queueProcess(folder, 90_000, 0)
  await last.ended
  said.push(...last.said())
  expect(last.count('finished')).toBe(1)
  const { waiting, dead } = await stored(folder)
  expect(waiting).toEqual([])
  const done = new Set(idsOf(said, 'done'))
  const deadIds = new Set(dead.map(({ id }) => id))
  expect(idsOf(said, 'stored').filter((id) => !done.has(id) && !deadIds.has(id ?? ''))).toEqual([])
  expect(dead.every(({ id }) => Number(id) % 10 === 0)).toBe(true)
  expect(dead.every(({ attempts, history }) => attempts === 5 && history.length === 5)).toBe(true)

  const attempts = new Map<string, number>()
  for (const [, id = '', attempt] of said.filter(([word]) => word === 'failed')) {
    expect(Number(attempt)).toBeGreaterThanOrEqual(attempts.get(id) ?? 0)
    attempts.set(id, Number(attempt))
  }
}, 240_000)

test('a standby waits for the owner to die, then takes over its messages', async () => {
  const folder = tempFolder()
  const owner = queueProcess(folder, 0, 100_000)
  await eventually(() => owner.count('stored') > 200, 60_000)
  const standby = queueProcess(folder, 0, 0)
  await eventually(() => standby.count('waiting') === 1, 60_000)
  expect(standby.said()).toEqual([['waiting', String(owner.pid)]])
  await owner.kill()
  await eventually(() => standby.count('finished') === 1, 60_000)
  const done = new Set(idsOf([...owner.said(), ...standby.said()], 'done'))
  const lost = idsOf(owner.said(), 'stored').filter((id) => Number(id) % 10 !== 0 && !done.has(id))
  expect(lost).toEqual([])
}, 240_000)
