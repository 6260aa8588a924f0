import { type IIIClient, registerWorker } from 'iii-sdk'
import { onTestFinished, vi } from 'vitest'
import { until } from './until.ts'

/**
 * Connects a worker with the unmodified SDK, without telemetry and without its console output, for one
 * test unless said otherwise. It has introduced itself by name when this returns.
 */
export async function sdkWorker(
  url: string,
  name = `worker-${crypto.randomUUID()}`,
  onFinished: (end: () => Promise<void>) => void = onTestFinished,
): Promise<IIIClient> {
  // The SDK reports connections and failed handlers on the console whether one listens or not.
  for (const method of ['debug', 'error', 'warn', 'log'] as const) {
    vi.spyOn(console, method).mockImplementation(() => {})
  }
  const worker = registerWorker(url, {
    workerName: name,
    otel: { enabled: false },
    enableMetricsReporting: false,
    invocationTimeoutMs: 10_000,
    reconnectionConfig: { initialDelayMs: 20, maxDelayMs: 50 },
  })
  onFinished(() => worker.shutdown())
  await until(`worker ${name} to be known`, () =>
    worker.trigger({ function_id: 'engine::workers::info', payload: { name }, timeoutMs: 1_000 }),
  )
  return worker
}

/** Waits until a function is registered, as seen by `worker`. */
export async function functionKnown(worker: IIIClient, functionId: string): Promise<void> {
  await until(`function ${functionId} to be known`, () =>
    worker.trigger({
      function_id: 'engine::functions::info',
      payload: { function_id: functionId },
      timeoutMs: 1_000,
    }),
  )
}

/** Waits until a function is gone, as seen by `worker`. */
export async function functionGone(worker: IIIClient, functionId: string): Promise<void> {
  await until(`function ${functionId} to be gone`, async () => {
    const error = await failureOf(
      worker.trigger({
        function_id: 'engine::functions::info',
        payload: { function_id: functionId },
        timeoutMs: 1_000,
      }),
    )
    return error?.code === 'NOT_FOUND'
  })
}

/** The error that a call rejects with; undefined if it succeeds. */
export async function failureOf(
  call: Promise<unknown>,
): Promise<{ code: string; message: string } | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    return error as { code: string; message: string }
  }
}
