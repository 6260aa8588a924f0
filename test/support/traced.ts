import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { onTestFinished, type TestContext } from 'vitest'

/** Why system calls cannot be traced here; undefined if they can. */
function whyNoStrace(): string | undefined {
  const { error, status, stderr } = spawnSync('strace', ['-qq', '-e', 'trace=none', '/bin/true'])
  if (error) return 'strace is not installed'
  return status === 0 ? undefined : `strace may not trace: ${String(stderr).trim().split('\n')[0]}`
}

/** Skips a test that disturbs system calls where they cannot be traced, and prints why. */
export function needsStrace({ task, skip }: TestContext): void {
  const reason = whyNoStrace()
  if (!reason) return
  process.stderr.write(`skipped: ${task.name}: ${reason}\n`)
  skip(reason)
}

/** Lets system calls of a running process fail until it is called off; resolves when that has begun. */
export async function failCalls(
  pid: number,
  { calls, paths, error }: { calls: string; paths: readonly string[]; error: string },
): Promise<() => Promise<void>> {
  const args = ['-f', '-p', String(pid), '-e', `trace=${calls}`, `--inject=${calls}:error=${error}`]
  const strace = spawn('strace', [...args, ...paths.flatMap((path) => ['-P', path])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void strace.kill('SIGKILL'))
  await attached(strace)
  return async () => {
    const exited = once(strace, 'exit')
    strace.kill('SIGINT')
    await exited
  }
}

/** strace says for each thread that it is attached. */
async function attached(strace: ChildProcess): Promise<void> {
  let output = ''
  strace.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  for (let turn = 0; turn < 1_000; turn += 1) {
    if (/attached/.test(output)) return
    if (strace.exitCode !== null) break
    await pause(10)
  }
  throw new Error(`strace did not attach: ${output}`)
}
