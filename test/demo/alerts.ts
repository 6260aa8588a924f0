import { setTimeout as delay } from 'node:timers/promises'
import { registerWorker } from 'iii-sdk'
import { pino } from 'pino'
import { z } from 'zod'
import { redirectSdkOutput } from '../../src/workers/link/sdk-output.ts'
import { opsToken } from '../support/ops-token.ts'

const FUNCTION = 'demo::low-stock'
const TOPIC = 'alerts.low-stock'

/** How long the reactor may take to send everything, and how often it is asked, in milliseconds. */
const SENT = { withinMs: 60_000, pollMs: 50 }

const alert = z.object({ sku: z.string(), idempotencyKey: z.string() })

const status = z.object({
  projections: z.array(
    z.object({ name: z.string(), position: z.number(), effects: z.object({ pending: z.number() }) }),
  ),
})

/**
 * A worker, as anybody could write one, that listens to the low-stock alerts. A topic keeps nothing: what is
 * published while this worker's link is down is missed.
 */
export interface AlertListener {
  /** The SKU of every alert, by the alert's idempotency key: one that comes twice counts once. */
  readonly alerts: ReadonlyMap<string, string>
  /**
   * Waits until the alerts of all events up to a position have arrived. It asks the system how much is still
   * to be sent, over the link on which the alerts come: its answer arrives behind them.
   */
  allSent(position: number): Promise<void>
  close(): Promise<void>
}

/** Connects to the engine of a data folder and subscribes. @returns when the subscription is in force */
export async function listenToAlerts(
  engineUrl: string,
  data: string,
  stop: AbortSignal,
): Promise<AlertListener> {
  redirectSdkOutput(globalThis.console, pino({ level: 'silent' }))
  const iii = registerWorker(engineUrl, {
    workerName: 'demo',
    enableMetricsReporting: false,
    otel: { enabled: false },
  })
  const alerts = new Map<string, string>()
  iii.registerFunction(FUNCTION, async (payload) => {
    const { sku, idempotencyKey } = alert.parse(payload)
    alerts.set(idempotencyKey, sku)
  })
  iii.registerTrigger({ type: 'subscribe', function_id: FUNCTION, config: { topic: TOPIC } })
  // Frames keep their order: what answers this has the subscription already.
  await iii.trigger({ function_id: 'engine::functions::list', payload: {} })
  return {
    alerts,
    async allSent(position) {
      const deadline = performance.now() + SENT.withinMs
      for (;;) {
        const answer = status.parse(
          await iii.trigger({ function_id: 'ops::status', payload: {}, metadata: opsToken(data) }),
        )
        const reactor = answer.projections.find(({ name }) => name === 'inventory-alert')
        if (reactor && reactor.position >= position && reactor.effects.pending === 0) return
        if (performance.now() > deadline) {
          throw new Error(`Alerts are still to be sent after ${SENT.withinMs} ms: ${JSON.stringify(reactor)}`)
        }
        await delay(SENT.pollMs, undefined, { signal: stop })
      }
    },
    close: () => iii.shutdown(),
  }
}
