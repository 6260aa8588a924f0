import type { IIIClient } from 'iii-sdk'
import { z } from 'zod'
import type { WorkerProcess } from '../operator/contract.ts'
import type { ProcessMetrics } from './ops-metrics.ts'
import { PROCESS_FUNCTIONS } from './process-report.ts'

/** How long a process may take to tell of itself, in milliseconds. */
const TIMEOUT_MS = 2_000

const functionList = z.object({ functions: z.array(z.object({ function_id: z.string() })) })

/** Asks every worker process of this system on the engine. */
export function processesOf(iii: IIIClient, credentials: { token: string }) {
  const askAll = async <Answer>(payload: object) => {
    const { functions } = functionList.parse(
      await iii.trigger({
        function_id: 'engine::functions::list',
        payload: { prefix: PROCESS_FUNCTIONS, include_internal: true },
        timeoutMs: TIMEOUT_MS,
      }),
    )
    const asked = functions.filter(({ function_id }) => function_id.startsWith(PROCESS_FUNCTIONS))
    const answers = await Promise.allSettled(
      asked.map(({ function_id }) =>
        iii.trigger<object, Answer>({ function_id, payload, metadata: credentials, timeoutMs: TIMEOUT_MS }),
      ),
    )
    const given = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    return { answers: given, silent: answers.length - given.length }
  }
  return {
    async processes() {
      const { answers, silent } = await askAll<{ self: WorkerProcess }>({})
      return { answers: answers.map(({ self }) => self), silent }
    },
    async metrics(): Promise<readonly ProcessMetrics[]> {
      return (await askAll<ProcessMetrics>({ metrics: true })).answers
    },
  }
}
