import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { startSystem, waitFor } from './lab/system.ts'
import { runTask } from './lab/task.ts'
import { defineScenario, type Row } from './scenario.ts'
import type { ReceiverInput, ReceiverOutput } from './tasks/effect-receiver.ts'

const APP = fileURLToPath(new URL('effects-app.ts', import.meta.url))
const RECEIVER = new URL('./tasks/effect-receiver.ts', import.meta.url)

/** How long the whole of one round may take. */
const TIMEOUT_MS = 600_000

/** Time between two looks at the head of the log. */
const LOOK_MS = 2

export const effects = defineScenario({
  name: 'effects',
  title:
    'effects of a reactor, each of another stream, that are carried out one after the other and several at once',
  durable: 'the event of each command that was carried out, fsync; an effect is forgotten after that',
  options: {
    effects: { help: 'recorded before the first one is sent', default: 20_000, tiny: 50 },
    atOnce: { help: 'effects that are sent at the same time', default: [1, 16, 64], tiny: [4] },
    takesMs: { help: 'how long the function of another worker takes for one', default: 20, tiny: 1 },
  },
  async run({ options, rounds, folder, profile, say }) {
    const rows: Row[] = []
    for (const receiver of ['a command', 'a function']) {
      for (const atOnce of options.atOnce) {
        const carriedOut = receiver === 'a command' ? byCommand : byFunction
        // A slow function that gets one after the other would take minutes.
        const count = receiver === 'a command' ? options.effects : Math.min(options.effects, 100 * atOnce)
        const is = await repeated(rounds, async (round) => {
          say(`${receiver}, ${atOnce} at once, round ${round + 1}`)
          const perSecond = await inFolder(folder, (data) =>
            carriedOut({ data, atOnce, count, takesMs: options.takesMs, profile }),
          )
          return { 'effects/s': perSecond }
        })
        rows.push({ of: { receiver, 'at once': atOnce }, is })
      }
    }
    return rows
  },
})

interface Run {
  readonly data: string
  readonly atOnce: number
  readonly count: number
  readonly takesMs: number
  readonly profile: string | undefined
}

async function byCommand({ data, atOnce, count, profile }: Run): Promise<number> {
  await placeOrders(data, count)
  const system = await start({ data, atOnce, profile }, 'cmd::confirm')
  const log = openSqliteEventLog({ path: dataPaths(data).events })
  try {
    const until = (position: number) =>
      waitFor('the effects are carried out', async () => (await log.head()) >= position, {
        timeoutMs: TIMEOUT_MS,
        everyMs: LOOK_MS,
      })
    await until(count + 1)
    const [began, from] = [performance.now(), await log.head()]
    await until(2 * count)
    return ((2 * count - from) / (performance.now() - began)) * 1_000
  } finally {
    await log.close()
    await system.stop()
  }
}

async function byFunction({ data, atOnce, count, takesMs, profile }: Run): Promise<number> {
  await placeOrders(data, count)
  const system = await start({ data, atOnce, profile }, 'bench::receive')
  try {
    const { perSecond } = await runTask<ReceiverInput, ReceiverOutput>(RECEIVER, {
      engine: system.engine,
      takesMs,
      effects: count,
    })
    return perSecond
  } finally {
    await system.stop()
  }
}

function start({ data, atOnce, profile }: Pick<Run, 'data' | 'atOnce' | 'profile'>, receiver: string) {
  const env = {
    CQRS_APP: APP,
    BENCH_RECEIVER: receiver,
    CQRS_PROJECTIONS_EFFECTS_AT_ONCE: String(atOnce),
  }
  return startSystem({ data, profile, env })
}

/** Stores the events of which each causes one effect. */
async function placeOrders(data: string, count: number): Promise<void> {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const log = openSqliteEventLog({ path: dataPaths(data).events, maxWaiting: count })
  const place = (order: string) =>
    log.append({
      stream: `order-${order}`,
      expectedVersion: 0,
      events: [{ type: 'placed', schemaVersion: 1, data: { order } }],
      metadata: { commandId: order, correlationId: order },
    })
  await Promise.all(Array.from({ length: count }, () => place(randomUUID())))
  await log.close()
}
