import { fork } from 'node:child_process'

/** A task that runs as a process of its own. */
export interface RunningTask<Output> {
  readonly pid: number
  /** Resolves when the task says that it serves; tasks that never say so only give a result. */
  readonly ready: Promise<void>
  readonly result: Promise<Output>
  /** Asks it to finish early and gives its result. */
  stop(): Promise<Output>
}

/** What a task has at hand. */
export interface TaskContext {
  readonly stopping: AbortSignal
  ready(): void
}

type ToTask<Input> = { do: 'run'; input: Input } | { do: 'stop' }
type FromTask<Output> = { is: 'ready' } | { is: 'result'; output: Output } | { is: 'error'; error: string }

/**
 * Starts a module that calls {@link serveTask} as a process. Load comes from such processes, so that
 * making it does not slow down what is measured more than a client on the same machine has to.
 *
 * @param profile a folder into which the process writes its CPU profile when it ends
 */
export function startTask<Input, Output>(
  module: URL,
  input: Input,
  { profile, env = {} }: { profile?: string | undefined; env?: Readonly<Record<string, string>> } = {},
): RunningTask<Output> {
  const child = fork(module, [], {
    env: { ...process.env, ...env },
    execArgv: profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ready = Promise.withResolvers<void>()
  const result = Promise.withResolvers<Output>()
  let last = `${module.pathname} ended without a result`
  child.on('message', (message: FromTask<Output>) => {
    if (message.is === 'ready') ready.resolve()
    else if (message.is === 'result') result.resolve(message.output)
    else last = message.error
  })
  child.once('exit', () => {
    ready.reject(new Error(last))
    result.reject(new Error(last))
  })
  ready.promise.catch(() => {})
  result.promise.catch(() => {})
  const send = (message: ToTask<Input>) => child.connected && child.send(message)
  send({ do: 'run', input })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  // A result counts when its process is gone: it takes no more time from what is measured next.
  const finished = result.promise.then(async (output) => {
    await exited
    return output
  })
  finished.catch(() => {})
  return {
    pid: child.pid ?? 0,
    ready: ready.promise,
    result: finished,
    stop() {
      send({ do: 'stop' })
      return finished
    },
  }
}

/** Runs a task to its end. */
export function runTask<Input, Output>(
  module: URL,
  input: Input,
  options: Parameters<typeof startTask>[2] = {},
): Promise<Output> {
  return startTask<Input, Output>(module, input, options).result
}

/** The task's side: runs `run` with the input, sends what it gives, and ends the process. */
export function serveTask<Input, Output>(run: (input: Input, context: TaskContext) => Promise<Output>): void {
  const stopping = new AbortController()
  const send = (message: FromTask<Output>) =>
    new Promise<void>((resolve) => process.send?.(message, () => resolve()))
  const ready = () => void send({ is: 'ready' })
  // Whoever started it is gone: so is the reason to run.
  process.once('disconnect', () => process.exit(1))
  process.on('message', async (message: ToTask<Input>) => {
    if (message.do === 'stop') return stopping.abort()
    try {
      await send({ is: 'result', output: await run(message.input, { stopping: stopping.signal, ready }) })
      process.exit(0)
    } catch (error) {
      await send({ is: 'error', error: error instanceof Error ? String(error.stack) : String(error) })
      process.exit(1)
    }
  })
}
