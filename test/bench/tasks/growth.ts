import { join } from 'node:path'
import pino from 'pino'
import { CommandExecutor } from '../../../src/command/execute.ts'
import { StreamSnapshots } from '../../../src/command/snapshots.ts'
import { openSqliteSnapshots } from '../../../src/command/sqlite/snapshot-store.ts'
import inventory from '../../../src/inventory/app.ts'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { cpuSince } from '../lab/cpu.ts'
import { fillLog } from '../lab/fill-log.ts'
import { Latencies } from '../lab/latencies.ts'
import { serveTask } from '../lab/task.ts'

export interface GrowthInput {
  readonly folder: string
  /** Events in the log before anything is measured. */
  readonly events: number
  /** Streams they are spread over. */
  readonly streams: number
  /** Commands that are measured, each on a stream that is not in memory. */
  readonly commands: number
  /** Whether folded streams are kept. */
  readonly snapshots: boolean
}

export interface GrowthOutput {
  /** Of one command on a stream that is not in memory, in milliseconds. */
  readonly p50: number
  readonly p99: number
  /** CPU time of one command, in microseconds. */
  readonly cpu: number
}

/** As the workers check the first snapshots that they meet, so many loads come before what is measured. */
const CHECKED = 4

/** One command after the other on streams that are not in memory: load, decide, append with fsync. */
serveTask(async ({ folder, events, streams, commands, snapshots }: GrowthInput): Promise<GrowthOutput> => {
  const path = join(folder, 'events.db')
  fillLog({ path, events, items: streams })
  const logger = pino({ level: 'silent' })
  const log = openSqliteEventLog({ path })
  const store = snapshots ? openSqliteSnapshots(join(folder, 'snapshots.db'), logger) : undefined
  const executor = new CommandExecutor({
    app: inventory,
    log,
    snapshots: store && new StreamSnapshots({ store, every: 100, code: 'bench', log: logger }),
    // Nothing stays in memory.
    streamCacheSize: 0,
    conflictRetries: 0,
    onAppended: () => {},
    now: () => new Date(),
  })
  let sent = 0
  const command = async () => {
    sent += 1
    const input = { sku: String((sent * 7_919) % streams), quantity: 1 }
    const outcome = await executor.execute('restock-item', input, { commandId: `c${sent}` })
    if (outcome.kind !== 'accepted') throw new Error(`A command was not accepted: ${JSON.stringify(outcome)}`)
  }
  for (let load = 0; load < CHECKED; load += 1) {
    await command()
    // The snapshot is written by a thread of its own.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const latencies = new Latencies()
  const cpu = cpuSince()
  for (let done = 0; done < commands; done += 1) {
    const began = performance.now()
    await command()
    latencies.add(performance.now() - began)
  }
  const used = cpu().process / commands
  await store?.close()
  await log.close()
  const { p50, p99 } = latencies.summary()
  return { p50, p99, cpu: used }
})
