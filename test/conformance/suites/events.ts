import { describe, expect, test } from 'vitest'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

interface WorkerEvent {
  readonly event: string
  readonly worker_id: string
}

interface FunctionsEvent {
  readonly event: string
  readonly functions: { readonly function_id: string }[]
}

/** The trigger types with which the engine tells about itself; a standby lives by them. */
export function events(engine: () => EngineUnderTest): void {
  describe('events of the engine', () => {
    test('engine::workers-available tells who connected, introduced itself and left', async () => {
      const watcher = await sdkWorker(engine().url)
      const seen = await watch<WorkerEvent>(watcher, 'engine::workers-available')
      const other = await RawWorker.connect(engine().url)
      await other.call('engine::workers::register', { name: unique('worker'), runtime: 'test', pid: 1 })
      other.terminate()
      const ofOther = () => seen.filter((event) => event.worker_id === other.id).map((event) => event.event)
      await until('all three', () => ofOther().length === 3)
      expect(ofOther().sort()).toEqual(['worker_connected', 'worker_disconnected', 'worker_metadata_updated'])
    })

    test('engine::functions-available tells the functions there are after some came or went', async () => {
      const [watcher, other] = await Promise.all([sdkWorker(engine().url), sdkWorker(engine().url)])
      const seen = await watch<FunctionsEvent>(watcher, 'engine::functions-available')
      const id = unique('events::f')
      const known = () => seen.at(-1)?.functions.some((row) => row.function_id === id)
      other.registerFunction(id, async () => 1)
      await until('the function to appear', () => known() === true)
      expect(seen.at(-1)?.event).toBe('functions_changed')
      await other.shutdown()
      await until('the function to disappear', () => known() === false)
    })
  })
}

async function watch<T>(worker: Awaited<ReturnType<typeof sdkWorker>>, type: string): Promise<T[]> {
  const seen: T[] = []
  const id = unique('events::watcher')
  worker.registerFunction(id, async (event: T) => void seen.push(event))
  worker.registerTrigger({ type, function_id: id, config: {} })
  await until('the trigger', async () => {
    const { registered_triggers } = await worker.trigger({
      function_id: 'engine::registered-triggers::list',
      payload: { function_id: id },
    })
    return registered_triggers.length === 1
  })
  return seen
}
