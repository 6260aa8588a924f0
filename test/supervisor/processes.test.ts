import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const program = fileURLToPath(new URL('stub-supervisor.ts', import.meta.url))

async function supervise(...names: string[]) {
  const journal = join(tempFolder(), 'journal')
  const supervisor = spawn(process.execPath, [program, journal, ...names], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(supervisor, 'exit')
  const lines = () => (existsSync(journal) ? readFileSync(journal, 'utf8').trim().split('\n') : [])
  const pids = (name: string) =>
    lines().flatMap((line) => (new RegExp(`^${name} \\d+$`).test(line) ? [Number(line.split(' ')[1])] : []))
  onTestFinished(() => {
    supervisor.kill('SIGKILL')
    for (const pid of names.flatMap((name) => pids(name.split(':')[0] ?? name)))
      if (lives(pid)) process.kill(pid, 'SIGKILL')
  })
  if (!names.some((name) => name.includes(':'))) await once(supervisor.stdout, 'data')
  return { supervisor, exited, pids, lines }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('a process that is killed with SIGKILL is started again, the other one goes on', async () => {
  const { pids } = await supervise('one', 'two')
  process.kill(pids('one')[0] ?? 0, 'SIGKILL')
  const second = await until('there is a second process', () => pids('one')[1])
  expect(lives(second)).toBe(true)
  expect(pids('two')).toHaveLength(1)
})

test('a process that is frozen is killed and started again, the other one goes on', async () => {
  const { pids } = await supervise('one', 'two')
  const frozen = pids('one')[0] ?? 0
  process.kill(frozen, 'SIGSTOP')
  await until('there is a second process', () => pids('one')[1])
  expect(lives(frozen)).toBe(false)
  expect(pids('two')).toHaveLength(1)
})

test('a supervisor that was frozen for longer than its children may hang lets them go on', async () => {
  const { supervisor, pids } = await supervise('one', 'two')
  supervisor.kill('SIGSTOP')
  // Longer than the limit of three seconds; nothing happens meanwhile that could be waited for.
  await delay(5_000)
  supervisor.kill('SIGCONT')
  await delay(1_000)
  expect([...pids('one'), ...pids('two')].map(lives)).toEqual([true, true])
})

test('a crash loop slows down', async () => {
  const begin = performance.now()
  const { pids } = await supervise('one:crash')
  await until('it was started six times', () => pids('one').length >= 6, 30_000)
  // The five waits are 50, 100, 200, 400 and 800 ms; a busy machine can only make it longer.
  expect(performance.now() - begin).toBeGreaterThan(1_550)
})

test('children notice that their supervisor was killed, and end', async () => {
  const { supervisor, pids, lines } = await supervise('one', 'two')
  supervisor.kill('SIGKILL')
  await until('both are gone', () => [...pids('one'), ...pids('two')].every((pid) => !lives(pid)))
  expect(lines()).toContain('one stops: supervisor-gone')
})

test('a supervisor that is told to stop stops its children and ends well', async () => {
  const { supervisor, exited, pids, lines } = await supervise('one', 'two')
  supervisor.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  expect(lines()).toEqual(expect.arrayContaining(['one stops: SIGTERM', 'two stops: SIGTERM']))
  expect([...pids('one'), ...pids('two')].some(lives)).toBe(false)
})

test('Ctrl-C in a terminal reaches all processes, but children leave it to the supervisor', async () => {
  const { pids, lines } = await supervise('one')
  process.kill(pids('one')[0] ?? 0, 'SIGINT')
  process.kill(pids('one')[0] ?? 0, 'SIGTERM')
  await until('the child was told to stop', () => lines().includes('one stops: SIGTERM'))
})
