import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { killWithChildren } from './process-tree.ts'
import { until } from './until.ts'

/** The program. */
export const CLI = fileURLToPath(new URL('../../src/cqrs.js', import.meta.url))

/** A run of the program `cqrs` as a process of its own. */
export interface ProgramRun {
  readonly process: ChildProcess
  /** What it printed so far. */
  readonly output: { stdout: string; stderr: string }
  /** Its exit code, when it has ended. */
  readonly exited: Promise<number | null>
}

/** Variables; one that is undefined is not there. */
type Environment = Readonly<Record<string, string | undefined>>

/**
 * Starts the program in `cwd` with nothing in its environment but PATH, where tests keep compiled modules, and `env`.
 * Killed with its children when the test ends, before the folders of the test are removed.
 */
export function startProgram(
  args: string[],
  cwd: string,
  env: Environment = {},
  program: string = CLI,
): ProgramRun {
  return startNode([program, ...args], cwd, env)
}

/** Runs a script of Node to its end, as {@link runProgram}. */
export async function runNode(args: string[], cwd: string) {
  const { exited, output } = startNode(args, cwd, {})
  return { exitCode: await exited, ...output }
}

/** Starts a script of Node as {@link startProgram} does. */
export function startNode(args: string[], cwd: string, env: Environment): ProgramRun {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH, NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  const exited = once(child, 'close').then(([code]) => code as number | null)
  onTestFinished(async () => {
    killWithChildren(child)
    await exited
  })
  return { process: child, output, exited }
}

/** Runs the program to its end. */
export async function runProgram(args: string[], cwd: string, env: Environment = {}) {
  const { exited, output } = startProgram(args, cwd, env)
  return { exitCode: await exited, ...output }
}

/** Starts `cqrs up` in `cwd` on ports that the system chooses, and waits until it says that it is up. */
export async function startUp(cwd: string, env: Environment = {}, program: string = CLI) {
  const settings = { III_PORT: '0', III_HTTP_PORT: '0', CQRS_LOG_LEVEL: 'warn', ...env }
  const run = startProgram(['up'], cwd, settings, program)
  await until(
    'the system is up',
    () => {
      if (run.process.exitCode !== null) throw new Error(run.output.stderr)
      return run.output.stdout.includes('Ctrl-C')
    },
    30_000,
  )
  const find = (pattern: RegExp) => pattern.exec(run.output.stdout)?.[1] ?? ''
  return { ...run, http: find(/HTTP +(http:\S+)/), engine: find(/Engine +(ws:\S+)/) }
}
