import { setTimeout as delay } from 'node:timers/promises'
import { inFolder } from './lab/folder.ts'
import { startHttpLoad } from './lab/load.ts'
import { memoryOf, ROLES, startSystem } from './lab/system.ts'
import { defineScenario, type Row } from './scenario.ts'

export const flood = defineScenario({
  name: 'flood',
  title:
    'more requests at the same time than the system takes: memory stays bounded, the rest is told when to come again',
  durable: 'the events of each command that was answered with success: fsync before the answer',
  options: {
    callers: {
      help: 'requests under way at the same time, each on a connection of its own',
      default: [1_000, 4_000],
      tiny: [50],
    },
    seconds: { help: 'for each number of callers', default: 10, tiny: 0.5 },
    limit: { help: 'requests that the engine lets in', default: 1_024, tiny: 10 },
  },
  async run({ options, folder, say, note }) {
    return inFolder(folder, async (at) => {
      const env = { III_HTTP_CONCURRENCY_REQUEST_LIMIT: String(options.limit) }
      const system = await startSystem({ data: `${at}/data`, env })
      const rows: Row[] = []
      try {
        for (const callers of options.callers) {
          say(`${callers} at the same time`)
          const load = startHttpLoad(system.http, {
            pace: { closed: callers },
            seconds: options.seconds,
            items: 100,
          })
          const most: Record<string, number> = {}
          let running = true
          const ended = () => {
            running = false
          }
          load.result.then(ended, ended)
          while (running) {
            for (const role of ROLES) {
              const pid = system.pidOf(role)
              if (pid !== undefined) most[role] = Math.max(most[role] ?? 0, memoryOf(pid) / 2 ** 20)
            }
            await delay(200)
          }
          const { perSecond, latency, statuses, withoutRetryAfter } = await load.result
          if (withoutRetryAfter > 0) throw new Error(`${withoutRetryAfter} answers 503 had no Retry-After.`)
          const memory = Object.fromEntries(Object.entries(most).map(([role, mib]) => [`${role} MiB`, mib]))
          rows.push({
            of: { callers },
            is: { 'commands/s': perSecond, '503': statuses['503'] ?? 0, 'p99 ms': latency.p99, ...memory },
          })
          note(`${callers} callers: ${JSON.stringify(statuses)}; each 503 said when to come again.`)
        }
        return rows
      } finally {
        await system.stop()
      }
    })
  },
})
