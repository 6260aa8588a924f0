import { DatabaseSync } from 'node:sqlite'
import { registerWorker } from 'iii-sdk'

const db = new DatabaseSync(process.env.PAYMENTS_DB ?? './payments.db')
db.exec('CREATE TABLE IF NOT EXISTS charges (key TEXT PRIMARY KEY, reference TEXT, refused TEXT) STRICT')
const find = db.prepare('SELECT reference, refused FROM charges WHERE key = ?')
const keep = db.prepare('INSERT INTO charges VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING')

const worker = registerWorker(process.env.III_URL ?? 'ws://127.0.0.1:49134')

/** Stands for the provider: takes the key, so that it charges once. Put the call of yours here. */
async function chargeAtProvider(_key: string, order: string, cents: number) {
  return cents < 100_000 ? { reference: `charge-${order}` } : { refused: 'The card has not enough money.' }
}

interface Asked {
  readonly idempotencyKey: string
  readonly order: string
  readonly cents: number
}

worker.registerFunction('payments::charge', async ({ idempotencyKey: key, order, cents }: Asked, cause) => {
  if (!find.get(key)) {
    const { reference = null, refused = null } = await chargeAtProvider(key, order, cents)
    keep.run(key, reference, refused)
  }
  // What was kept first counts, also if this was asked twice at the same time.
  const { refused } = find.get(key) as { refused: string | null }
  const answer = await worker.trigger<object, { kind: string }>({
    function_id: refused === null ? 'cmd::confirm-order' : 'cmd::give-up-order',
    payload: refused === null ? { order } : { order, reason: refused },
    metadata: { ...(cause as object), idempotencyKey: `${key}:answer` },
  })
  // A refused command does not throw. If this function does, the effect is tried again.
  if (answer.kind !== 'accepted')
    throw new Error(`The answer for ${order} was not taken: ${JSON.stringify(answer)}`)
})
