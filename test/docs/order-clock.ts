import { registerWorker } from 'iii-sdk'

const MAX_AGE_MS = Number(process.env.MAX_AGE_MS ?? 900_000)
const worker = registerWorker(process.env.III_URL ?? 'ws://127.0.0.1:49134')

interface Overdue {
  readonly result: { readonly items: readonly { readonly order: string }[] }
}

async function cancelOverdue() {
  const before = new Date(Date.now() - MAX_AGE_MS).toISOString()
  const { result } = await worker.trigger<object, Overdue>({
    function_id: 'query::overdue-orders',
    payload: { before },
  })
  for (const { order } of result.items) {
    // The view may be behind. The decider has the last word: if it refuses, the order has gone on meanwhile.
    const payload = { order, reason: 'It took too long.' }
    await worker.trigger({ function_id: 'cmd::cancel-order', payload })
  }
}

// If a round fails, for example because the system is down, the next one does its work.
setInterval(() => void cancelOverdue().catch(() => undefined), MAX_AGE_MS / 10)
