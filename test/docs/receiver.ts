// biome-ignore-all lint/suspicious/noConsole: it is a program of its own.
import { DatabaseSync } from 'node:sqlite'
import { registerWorker } from 'iii-sdk'

interface Sent {
  readonly idempotencyKey: string
  readonly account: string
  readonly to: string
  readonly cents: number
}

const db = new DatabaseSync(process.env.SLIPS_DB ?? './slips.db')
db.exec('CREATE TABLE IF NOT EXISTS slips (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT')
const insert = db.prepare('INSERT OR IGNORE INTO slips (key, text) VALUES (?, ?)')

const worker = registerWorker(process.env.III_URL ?? 'ws://127.0.0.1:49134')

// A `call`: the effect is done when this returns, and has failed when it throws.
worker.registerFunction('slips::keep', async ({ idempotencyKey, account, to, cents }: Sent) => {
  // One statement stores the key together with the work, so that a repetition finds both or neither.
  const { changes } = insert.run(idempotencyKey, `${cents} cents from ${account} to ${to}`)
  console.log(changes === 0 ? `${idempotencyKey} came again` : `${idempotencyKey} is kept`)
})

// A `publish`: every subscriber of the topic gets the same data.
worker.registerFunction('desk::tell', async ({ idempotencyKey, cents }: Sent) => {
  console.log(`${idempotencyKey}: ${cents} cents were sent`)
})
worker.registerTrigger({ type: 'subscribe', function_id: 'desk::tell', config: { topic: 'transfers.large' } })
