import { openSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import { DurableQueue } from '../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'

/*
 * A process that owns a queue store, to be killed: `queue-process.ts FOLDER REPORT FIRST COUNT` enqueues
 * COUNT messages whose ids start at FIRST and delivers what is there. Messages of the queue `poison` always
 * fail. It reports to the file REPORT, a line each, written before anything else can happen:
 *   waiting PID | owner | stored ID | done ID | failed ID ATTEMPTS | finished
 */
const [folder = '', report = '', first = '0', count = '0'] = process.argv.slice(2)
const file = openSync(report, 'a')
const say = (line: string): void => void writeSync(file, `${line}\n`)

const store = await openSqliteQueueStore({ folder, onWaiting: (pid) => say(`waiting ${pid}`) })
const queue = await DurableQueue.open({
  store,
  log: pino({ level: 'silent' }),
  queues: {
    jobs: { type: 'fifo', message_group_field: 'group', concurrency: 50 },
    poison: { max_retries: 5, backoff_ms: 20, concurrency: 50 },
  },
})
say('owner')
queue.start(async ({ queue: name, message }) => {
  if (name === 'jobs') {
    say(`done ${message.id}`)
    return { outcome: 'done' }
  }
  say(`failed ${message.id} ${message.attempts}`)
  return { outcome: 'failed', error: 'poison' }
})

const ids = Array.from({ length: Number(count) }, (_, index) => Number(first) + index)
while (ids.length > 0) {
  await Promise.all(
    ids.splice(0, 20).map(async (id) => {
      const to = id % 10 === 0 ? 'poison' : 'jobs'
      await queue.enqueue({ queue: to, functionId: 'job::run', data: { group: id % 7 }, id: String(id) })
      say(`stored ${id}`)
    }),
  )
}
while ((await queue.list()).some(({ depth }) => depth > 0)) {
  await new Promise((resolve) => setTimeout(resolve, 10))
}
say('finished')
await queue.stop()
