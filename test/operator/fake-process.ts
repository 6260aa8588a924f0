import { EventEmitter } from 'node:events'
import { runCli } from '../../src/operator/cli/program.ts'
import { tempFolder } from '../support/temp-folder.ts'

/**
 * Runs the program in this process, in an empty folder, with nothing but `env`, and keeps what it prints: to a pipe, or to a terminal
 * that has `columns`.
 */
export async function run(args: string[], env: Record<string, string> = {}, columns?: number) {
  const output = { stdout: '', stderr: '' }
  const keep = (stream: keyof typeof output) => (text: string, written?: () => void) => {
    output[stream] += text
    written?.()
    return true
  }
  const cwd = tempFolder()
  const host = Object.assign(new EventEmitter(), {
    env,
    title: 'test',
    connected: false,
    send: undefined,
    cwd: () => cwd,
    exit(code: number): never {
      throw new Error(`exit ${code}`)
    },
    stdout: { isTTY: columns !== undefined, columns, write: keep('stdout') },
    stderr: { write: keep('stderr') },
  })
  const exitCode = await runCli(args, host as never)
  return { exitCode, ...output }
}
