import { pino } from 'pino'
import { expect, test } from 'vitest'
import { SupervisedChild } from '../../src/supervisor/child.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeProcesses } from './fake-processes.ts'

function supervise() {
  const clock = new FakeClock()
  const processes = new FakeProcesses()
  const child = new SupervisedChild(
    { name: 'queue', module: 'queue.ts', args: [] },
    {
      clock,
      spawn: processes.spawn,
      log: pino({ level: 'silent' }),
      policy: {
        backoffBaseMs: 100,
        backoffCapMs: 400,
        stableMs: 10_000,
        readyTimeoutMs: 30_000,
        hangMs: 10_000,
      },
    },
  )
  return { clock, processes, child, starts: () => processes.starts('queue') }
}

test('a process that dies is started again', async () => {
  const { clock, processes, child, starts } = supervise()
  const started = child.start()
  processes.latest('queue').ready()
  expect(await started).toMatchObject({ ready: true })
  processes.latest('queue').exit()
  expect(child.state).toBe('waiting')
  clock.advance(100)
  expect(starts()).toBe(2)
  processes.latest('queue').ready()
  expect(child.state).toBe('ready')
})

test('a process that keeps dying waits twice as long each time, up to the cap', () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  for (const wait of [100, 200, 400, 400]) {
    const before = starts()
    processes.latest('queue').ready()
    processes.latest('queue').exit(1)
    clock.advance(wait - 1)
    expect(starts()).toBe(before)
    clock.advance(1)
    expect(starts()).toBe(before + 1)
  }
})

test('a process that was ready for long starts without a longer wait again', () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  for (const wait of [100, 200]) {
    processes.latest('queue').exit(1)
    clock.advance(wait)
  }
  processes.latest('queue').ready()
  clock.advance(10_000)
  processes.latest('queue').exit(1)
  clock.advance(100)
  expect(starts()).toBe(4)
})

test('a process that does not get ready is killed and started again', () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  processes.latest('queue').obedient = false
  clock.advance(29_999)
  expect(processes.latest('queue').signals).toEqual([])
  clock.advance(1)
  expect(processes.latest('queue').signals).toEqual(['SIGKILL'])
  clock.advance(100)
  expect(starts()).toBe(2)
})

test('a ready process that gives signs of life is left alone however long it runs', () => {
  const { clock, processes, child } = supervise()
  void child.start()
  processes.latest('queue').ready()
  for (let sign = 0; sign < 1_000; sign += 1) {
    clock.advance(1_000)
    processes.latest('queue').alive()
  }
  expect(processes.latest('queue').signals).toEqual([])
})

test('a ready process that gives no sign of life is killed and started again', () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  processes.latest('queue').obedient = false
  processes.latest('queue').ready()
  for (let second = 0; second < 11; second += 1) clock.advance(1_000)
  expect(processes.latest('queue').signals).toEqual([])
  clock.advance(1_000)
  expect(processes.latest('queue').signals).toEqual(['SIGKILL'])
  clock.advance(100)
  expect(starts()).toBe(2)
})

test('a supervisor that was itself away for long does not kill what ran on meanwhile', () => {
  const { clock, processes, child } = supervise()
  void child.start()
  const process = processes.latest('queue')
  process.ready()
  clock.sleep(3_600_000)
  clock.advance(1_000)
  process.alive()
  for (let second = 0; second < 11; second += 1) clock.advance(1_000)
  expect(process.signals).toEqual([])
})

test('a process that says at its first start that it cannot run is not started again', async () => {
  const { clock, processes, child, starts } = supervise()
  const started = child.start()
  processes.latest('queue').exit(2)
  expect(await started).toEqual({ ready: false, exit: { code: 2, signal: null } })
  clock.advance(1_000_000)
  expect(starts()).toBe(1)
  expect(child.state).toBe('refused')
})

test('a process that ran before is started again even if it says that it cannot run', () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  processes.latest('queue').ready()
  processes.latest('queue').exit()
  clock.advance(100)
  processes.latest('queue').exit(2)
  clock.advance(200)
  expect(starts()).toBe(3)
})

test('stopping asks first and kills what does not listen', async () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  const process = processes.latest('queue')
  process.ready()
  process.obedient = false
  const stopped = child.stop(5_000)
  clock.advance(4_999)
  expect(process.signals).toEqual(['SIGTERM'])
  clock.advance(1)
  await stopped
  expect(process.signals).toEqual(['SIGTERM', 'SIGKILL'])
  clock.advance(1_000_000)
  expect(starts()).toBe(1)
})

test('a process that waits for its restart can be stopped', async () => {
  const { clock, processes, child, starts } = supervise()
  void child.start()
  processes.latest('queue').exit(1)
  await child.stop(5_000)
  clock.advance(1_000_000)
  expect(starts()).toBe(1)
})
