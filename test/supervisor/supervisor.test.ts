import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeProcesses } from './fake-processes.ts'

const ADDRESSES = { url: 'ws://127.0.0.1:50001', port: 50_001 }

function supervise(options: { engine: boolean } = { engine: true }) {
  const clock = new FakeClock()
  const processes = new FakeProcesses()
  let url = 'none'
  const spec = (name: string) => ({ name, module: `${name}.ts`, args: [], env: () => ({ III_URL: url }) })
  const supervisor = new Supervisor({
    engine: options.engine ? spec('engine') : undefined,
    workers: [[spec('queue'), spec('projections')], [spec('commands')]],
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
    onEngine: (addresses) => (url = addresses.url),
  })
  return { clock, processes, supervisor }
}

/** Lets promises go on that are settled already. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

test('workers start when the engine listens, and learn where', async () => {
  const { processes, supervisor } = supervise()
  const started = supervisor.start()
  expect(processes.all.map(({ name }) => name)).toEqual(['engine'])
  processes.latest('engine').ready({ engine: ADDRESSES })
  await settle()
  expect(processes.all.map(({ name }) => name)).toEqual(['engine', 'queue', 'projections', 'commands'])
  expect(processes.latest('commands').env).toEqual({ III_URL: ADDRESSES.url })
  for (const name of ['queue', 'projections', 'commands']) processes.latest(name).ready()
  expect(await started).toEqual({ ready: true })
})

test('one process that can never start ends the start and names itself', async () => {
  const { processes, supervisor } = supervise({ engine: false })
  const started = supervisor.start()
  processes.latest('projections').exit(6)
  expect(await started).toEqual({ ready: false, child: 'projections', exit: { code: 6, signal: null } })
})

test('the death of one process does not touch the others', async () => {
  const { clock, processes, supervisor } = supervise({ engine: false })
  void supervisor.start()
  for (const process of processes.all) process.ready()
  processes.latest('projections').exit()
  clock.advance(100)
  expect(['queue', 'projections', 'commands'].map((name) => processes.starts(name))).toEqual([1, 2, 1])
})

test('workers stop before the engine, group by group, and what hangs is killed in time', async () => {
  const { clock, processes, supervisor } = supervise()
  void supervisor.start()
  processes.latest('engine').ready({ engine: ADDRESSES })
  await settle()
  processes.latest('queue').obedient = false
  const stopped = supervisor.stop(15_000)
  expect(processes.latest('commands').signals).toEqual(['SIGTERM'])
  expect(processes.latest('queue').signals).toEqual([])
  await settle()
  expect(processes.latest('queue').signals).toEqual(['SIGTERM'])
  expect(processes.latest('projections').signals).toEqual(['SIGTERM'])
  expect(processes.latest('engine').signals).toEqual([])
  clock.advance(14_000)
  await settle()
  expect(processes.latest('queue').signals).toEqual(['SIGTERM', 'SIGKILL'])
  expect(processes.latest('engine').signals).toEqual(['SIGTERM'])
  await stopped
})

test('a process that does not answer leaves the groups after it time to stop', async () => {
  const { clock, processes, supervisor } = supervise()
  void supervisor.start()
  processes.latest('engine').ready({ engine: ADDRESSES })
  await settle()
  processes.latest('commands').obedient = false
  const stopped = supervisor.stop(15_000)
  clock.advance(6_999)
  await settle()
  expect(processes.latest('queue').signals).toEqual([])
  clock.advance(1)
  await settle()
  expect(processes.latest('queue').signals).toEqual(['SIGTERM'])
  expect(processes.latest('projections').signals).toEqual(['SIGTERM'])
  expect(processes.latest('commands').signals).toEqual(['SIGTERM'])
  expect(processes.latest('engine').signals).toEqual([])
  clock.advance(7_000)
  await settle()
  expect(processes.latest('commands').signals).toEqual(['SIGTERM', 'SIGKILL'])
  await stopped
  expect(['queue', 'projections', 'engine'].map((name) => processes.latest(name).signals)).toEqual([
    ['SIGTERM'],
    ['SIGTERM'],
    ['SIGTERM'],
  ])
})

test('being told to stop while the engine starts starts no workers', async () => {
  const { processes, supervisor } = supervise()
  void supervisor.start()
  await supervisor.stop(15_000)
  await settle()
  expect(processes.all.map(({ name }) => name)).toEqual(['engine'])
})

test('a process that ends by itself while everything is stopping is not started again', async () => {
  const { clock, processes, supervisor } = supervise({ engine: false })
  void supervisor.start()
  for (const process of processes.all) process.ready()
  const commands = processes.latest('commands')
  commands.obedient = false
  const stopped = supervisor.stop(5_000)
  processes.latest('queue').exit(0)
  clock.advance(100)
  expect(processes.starts('queue')).toBe(1)
  commands.exit(0)
  await stopped
  expect(processes.latest('queue').signals).toEqual([])
})

test('a process that waits for its next start is not started when everything stops', async () => {
  const { clock, processes, supervisor } = supervise({ engine: false })
  void supervisor.start()
  for (const process of processes.all) process.ready()
  processes.latest('queue').exit()
  await supervisor.stop(5_000)
  clock.advance(1_000)
  expect(processes.starts('queue')).toBe(1)
})
