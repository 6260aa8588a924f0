import { onTestFinished } from 'vitest'
import { startEngine } from '../../src/engine/engine.ts'
import { runProgram, startProgram } from './program.ts'
import { functionKnown, sdkWorker } from './sdk-worker.ts'
import { tempFolder } from './temp-folder.ts'

type Operations = Record<string, (input: never, metadata: unknown) => unknown>

/** An engine with a worker that answers as the operator role would. @returns runs the program against it */
export async function operatorAnswers(operations: Operations) {
  const engine = await startEngine({ port: 0, http: false })
  onTestFinished(() => engine.close())
  const worker = await sdkWorker(engine.url)
  for (const [id, answer] of Object.entries(operations)) {
    worker.registerFunction(id, async (input: unknown, metadata: unknown) => answer(input as never, metadata))
    await functionKnown(worker, id)
  }
  const env = { III_URL: engine.url }
  return {
    run: (...args: string[]) => runProgram(args, tempFolder(), env),
    start: (...args: string[]) => startProgram(args, tempFolder(), env),
  }
}
