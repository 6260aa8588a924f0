import type { WorkersAnswer } from './contract.ts'
import type { System } from './system.ts'

/** The worker processes, ordered by the time of their start. */
export async function listWorkers({ processes, now }: System): Promise<WorkersAnswer> {
  const { answers, silent } = await processes()
  const workers = answers
    .map((each) => ({
      ...each,
      uptimeSeconds: Math.max(0, Math.round((now().getTime() - Date.parse(each.startedAt)) / 1_000)),
    }))
    .sort((left, right) => (left.startedAt < right.startedAt ? -1 : 1))
  return { workers, silent }
}
