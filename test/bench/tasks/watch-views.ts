import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { wallMs } from '../lab/latencies.ts'
import { serveTask } from '../lab/task.ts'

export interface WatchInput {
  readonly files: readonly string[]
  readonly pollMs: number
}

/** When each view was first seen at a position: wall clock in ms, position; one list for each file. */
export type WatchOutput = readonly (readonly (readonly [number, number])[])[]

/** Looks at the checkpoints of views, as any reader of their files could, and notes when each moved. */
serveTask(async ({ files, pollMs }: WatchInput, { stopping, ready }): Promise<WatchOutput> => {
  const views = files.map((file) => {
    const db = new DatabaseSync(file, { readOnly: true, timeout: 1_000 })
    return { db, position: db.prepare('SELECT position FROM checkpoint'), moves: [] as [number, number][] }
  })
  ready()
  while (!stopping.aborted) {
    for (const { position, moves } of views) {
      const at = Number(position.get()?.position ?? 0)
      if (at !== moves.at(-1)?.[1]) moves.push([wallMs(), at])
    }
    await delay(pollMs)
  }
  for (const { db } of views) db.close()
  return views.map(({ moves }) => moves)
})
