import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inFolder } from './lab/folder.ts'
import { roundsOf, type Spread, spreadOf } from './lab/spread.ts'
import { runTask } from './lab/task.ts'
import type { PeerInput, PeerOutput } from './peer.ts'
import { type Bench, defineScenario, type Row } from './scenario.ts'
import type { AppendInput, AppendOutput } from './tasks/append.ts'
import type { QueueStoreInput, QueueStoreOutput } from './tasks/queue-store.ts'

const FOLDER = new URL('./peers/', import.meta.url)
const APPEND = new URL('./tasks/append.ts', import.meta.url)
const QUEUE = new URL('./tasks/queue-store.ts', import.meta.url)

interface Options {
  readonly callers: readonly number[]
  readonly seconds: number
  readonly streams: number
}

/** A peer: the module in `peers`, the package that it needs, and the variable that names its server. */
interface Peer {
  readonly name: string
  readonly module: string
  readonly server: 'REDIS_URL' | 'POSTGRES_URL' | undefined
  readonly kind: 'events' | 'queue'
}

const PEERS: readonly Peer[] = [
  { name: '@event-driven-io/emmett-sqlite', module: 'emmett-sqlite.ts', server: undefined, kind: 'events' },
  {
    name: '@event-driven-io/emmett-postgresql',
    module: 'emmett-postgresql.ts',
    server: 'POSTGRES_URL',
    kind: 'events',
  },
  { name: 'pg-boss', module: 'pg-boss.ts', server: 'POSTGRES_URL', kind: 'queue' },
  { name: 'bullmq', module: 'bullmq.ts', server: 'REDIS_URL', kind: 'queue' },
]

export const peers = defineScenario({
  name: 'peers',
  title: 'the same events and messages through other libraries, in the same rounds; read the ratios',
  durable:
    'ours: fsync before the answer; PostgreSQL: its default, synchronous_commit on; Redis: has to have appendfsync always',
  options: {
    callers: { help: 'adds under way at the same time', default: [1, 64, 256], tiny: [4] },
    seconds: { help: 'of one round', default: 3, tiny: 0.2 },
    streams: { help: 'streams that the events are spread over', default: 10_000, tiny: 100 },
  },
  async run(bench) {
    const present = PEERS.filter((peer) => {
      const why = whyAbsent(peer, bench.env)
      if (why) bench.note(`${peer.name} was left out: ${why}.`)
      return why === undefined
    })
    const rows: Row[] = []
    for (const callers of bench.options.callers) {
      for (const kind of ['events', 'queue'] as const) {
        const those = present.filter((peer) => peer.kind === kind)
        rows.push(...(await together(bench, kind, those, callers)))
      }
    }
    return rows
  },
})

function whyAbsent({ name, server }: Peer, env: Bench<Options>['env']): string | undefined {
  if (!existsSync(new URL(`node_modules/${name}`, FOLDER))) {
    return `it is not installed; run "npm ci" in ${fileURLToPath(FOLDER)}`
  }
  return server && !env[server] ? `${server} names no server` : undefined
}

/** Ours and the peers take turns in each round. */
async function together(
  bench: Bench<Options>,
  kind: Peer['kind'],
  those: readonly Peer[],
  callers: number,
): Promise<Row[]> {
  const results = new Map<string, PeerOutput[]>()
  const add = (name: string, output: PeerOutput) => results.set(name, [...(results.get(name) ?? []), output])
  for (const round of roundsOf(bench.rounds)) {
    bench.say(`${kind}, ${callers} callers, round ${round + 1}`)
    const own = kind === 'events' ? await ownAppend(bench, callers) : await ownQueue(bench, callers)
    if (round >= 0) add('iii-durable-cqrs', own)
    for (const peer of those) {
      const output = await runPeer(bench, peer, callers)
      if (output && round >= 0) add(peer.name, output)
    }
  }
  const own = results.get('iii-durable-cqrs') ?? []
  return [...results].map(([name, outputs]) => ({ of: { kind, callers, name }, is: figures(outputs, own) }))
}

function figures(
  outputs: readonly PeerOutput[],
  own: readonly PeerOutput[],
): Record<string, Spread | number> {
  const worked = outputs.flatMap(({ workedPerSecond }) => workedPerSecond ?? [])
  return {
    'added/s': spreadOf(outputs.map(({ addedPerSecond }) => addedPerSecond)),
    'ours to theirs': spreadOf(
      outputs.map(({ addedPerSecond }, round) => (own[round]?.addedPerSecond ?? 0) / addedPerSecond),
    ),
    ...(worked.length > 0 && {
      'worked/s': spreadOf(worked),
      'ours to theirs, worked': spreadOf(
        worked.map((perSecond, round) => (own[round]?.workedPerSecond ?? 0) / perSecond),
      ),
    }),
    failed: outputs.reduce((sum, { failed }) => sum + failed, 0),
  }
}

async function runPeer(bench: Bench<Options>, peer: Peer, callers: number): Promise<PeerOutput | undefined> {
  const { seconds, streams } = bench.options
  return inFolder(bench.folder, async (folder) => {
    const at = (peer.server && bench.env[peer.server]) ?? join(folder, 'peer.db')
    try {
      const input = { at, callers, seconds, streams }
      const output = await runTask<PeerInput, PeerOutput>(new URL(peer.module, FOLDER), input)
      if (output.weaker) bench.note(`${peer.name}: ${output.weaker}.`)
      return output
    } catch (error) {
      bench.note(`${peer.name} failed with ${callers} callers: ${String(error).slice(0, 300)}`)
      return undefined
    }
  })
}

async function ownAppend({ folder, options }: Bench<Options>, callers: number): Promise<PeerOutput> {
  const { seconds, streams } = options
  return inFolder(folder, async (at) => {
    const output = await runTask<AppendInput, AppendOutput>(APPEND, { folder: at, callers, seconds, streams })
    return { addedPerSecond: output.perSecond, failed: 0 }
  })
}

async function ownQueue({ folder, options }: Bench<Options>, callers: number): Promise<PeerOutput> {
  const shape = { queues: 1, groups: 0, backlog: 0, failingPercent: 0, concurrency: 64 }
  return inFolder(folder, async (at) => {
    const input = { folder: at, callers, seconds: options.seconds, ...shape }
    const output = await runTask<QueueStoreInput, QueueStoreOutput>(QUEUE, input)
    return { addedPerSecond: output.enqueuedPerSecond, workedPerSecond: output.workedPerSecond, failed: 0 }
  })
}
