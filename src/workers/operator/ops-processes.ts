import type { IIIClient } from 'iii-sdk'
import { z } from 'zod'
import { processFunctions } from '../process/process-report.ts'
import type { ProcessMetrics } from './ops-metrics.ts'

/** How long a process may take to report on itself, in milliseconds, unless the caller gives another limit. */
const TIMEOUT_MS = 2_000

/**
 * What a process reports about itself. A process that answers anything else, such as one of another version, counts as
 * silent, and does not affect the others.
 */
const about = z.object({
  pid: z.number(),
  host: z.string(),
  startedAt: z.iso.datetime(),
  node: z.string(),
  memoryBytes: z.number(),
  roles: z.array(
    z.object({
      role: z.string(),
      state: z.enum(['starting', 'standing by', 'at work']),
      since: z.iso.datetime(),
      owns: z.array(z.string()),
      damage: z
        .object({ message: z.string(), at: z.iso.datetime(), agoMs: z.number(), goesOn: z.boolean() })
        .optional(),
    }),
  ),
})
const labels = z.record(z.string(), z.union([z.string(), z.number()]))
const metric = z.looseObject({
  name: z.string(),
  help: z.string(),
  type: z.string(),
  values: z.array(z.looseObject({ value: z.number().nullable(), labels })),
})
const ANSWERS = {
  processes: z.object({ self: about }),
  metrics: z.object({ self: about, metrics: z.array(metric) }),
}

const functionList = z.object({ functions: z.array(z.object({ function_id: z.string() })) })

/** Asks every worker process of this system, over the engine, to report on itself. */
export function processesOf(iii: IIIClient, credentials: { token: string }, system: string) {
  const prefix = processFunctions(system)
  const askAll = async <Answer>(payload: object, answer: z.ZodType<Answer>, timeoutMs = TIMEOUT_MS) => {
    const { functions } = functionList.parse(
      await iii.trigger({
        function_id: 'engine::functions::list',
        payload: { prefix, include_internal: true },
        timeoutMs,
      }),
    )
    const asked = functions.filter(({ function_id }) => function_id.startsWith(prefix))
    const answers = await Promise.allSettled(
      asked.map(async ({ function_id }) =>
        answer.parse(await iii.trigger({ function_id, payload, metadata: credentials, timeoutMs })),
      ),
    )
    const given = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    return { answers: given, silent: answers.length - given.length }
  }
  return {
    async processes(timeoutMs?: number) {
      const { answers, silent } = await askAll({}, ANSWERS.processes, timeoutMs)
      return { answers: answers.map(({ self }) => self), silent }
    },
    async metrics(): Promise<readonly ProcessMetrics[]> {
      const { answers } = await askAll({ metrics: true }, ANSWERS.metrics)
      return answers as unknown as readonly ProcessMetrics[]
    },
  }
}
