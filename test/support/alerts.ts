import { LOW_STOCK_TOPIC } from '../../src/inventory/alert.ts'
import { sdkWorker } from './sdk-worker.ts'

/** Idempotency keys of the alerts that reach a subscriber; topics are not durable, so some do not. */
export async function listenForAlerts(engine: string): Promise<ReadonlySet<string>> {
  const alerted = new Set<string>()
  const listener = await sdkWorker(engine)
  listener.registerFunction('listener::alert', async (alert: { idempotencyKey: string }) => {
    alerted.add(alert.idempotencyKey)
  })
  const config = { topic: LOW_STOCK_TOPIC }
  listener.registerTrigger({ type: 'subscribe', function_id: 'listener::alert', config })
  return alerted
}
