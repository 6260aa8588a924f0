import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { dataPaths } from '../../../src/config/paths.ts'
import { isReadyMessage } from '../../../src/supervisor/supervised.ts'
import { childrenOf } from '../../support/process-tree.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../../../src/cqrs.js', import.meta.url))
const START_MS = 60_000

/** The roles that `cqrs up` runs. */
export const ROLES = ['engine', 'queue', 'projections', 'commands', 'queries'] as const

export type Role = (typeof ROLES)[number]

/** A whole system under `cqrs up`, in processes of its own, with the inventory as its app. */
export interface BenchSystem {
  readonly data: string
  readonly http: string
  readonly engine: string
  /** The process of a role; undefined while it is dead. */
  pidOf(role: Role): number | undefined
  stop(): Promise<void>
}

export interface SystemOptions {
  readonly data: string
  readonly profile?: string | undefined
  readonly env?: Readonly<Record<string, string>>
}

/** Starts `cqrs up` on free ports. @throws Error with its last lines if it does not serve */
export async function startSystem({ data, profile, env = {} }: SystemOptions): Promise<BenchSystem> {
  const settings = {
    ...withoutSettings(process.env),
    III_URL: 'embedded',
    III_PORT: '0',
    III_HTTP_PORT: '0',
    CQRS_DATA: data,
    CQRS_LOG_LEVEL: 'warn',
    CQRS_LOG_FORMAT: 'json',
    ...(profile ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile}` } : {}),
    ...env,
  }
  const child = fork(PROGRAM, ['up'], {
    cwd: ROOT,
    env: settings,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4_000)
  })
  const { http, url } = await ready(child, () => output)
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  return {
    data,
    http,
    engine: url,
    pidOf: (role) => {
      // A process starts as `… cli.ts worker queue` and then calls itself `cqrs queue`.
      const called = new RegExp(` ${role}(?![\\w-])`)
      return childrenOf(child.pid ?? 0).find(({ args }) => called.test(args))?.pid
    },
    async stop() {
      process.off('exit', end)
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function ready(child: ChildProcess, output: () => string): Promise<{ http: string; url: string }> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      child.kill('SIGKILL')
      reject(new Error(`cqrs up ${why}:\n${output()}`))
    }
    const timer = setTimeout(() => fail(`did not serve within ${START_MS} ms`), START_MS)
    child.once('exit', (code, signal) => fail(`ended (${code ?? signal})`))
    child.on('message', (message) => {
      if (!isReadyMessage(message) || !message.engine?.httpUrl) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve({ http: message.engine.httpUrl, url: message.engine.url })
    })
  })
}

/** Waits until a condition holds, looking every few milliseconds. @throws Error after `timeoutMs` */
export async function waitFor(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { timeoutMs = 60_000, everyMs = 5 } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await delay(everyMs)
  }
}

/** The files of the views of a data folder. */
export function viewFiles(data: string): string[] {
  const { views } = dataPaths(data)
  return readdirSync(views)
    .filter((file) => file.endsWith('.db'))
    .map((file) => `${views}/${file}`)
}

/** Resident memory of a process in bytes; 0 once it is gone. */
export function memoryOf(pid: number): number {
  return 1_024 * Number(/^VmRSS:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0)
}

/** CPU time that a process has used so far, all threads, in microseconds; 0 once it is gone. */
export function cpuOf(pid: number): number {
  // Fields 14 and 15 of `stat`, in ticks of 10 ms; the second one, the name in brackets, may hold anything.
  const fields = /.*\) (.*)/s.exec(readOrEmpty(`/proc/${pid}/stat`))?.[1]?.split(' ') ?? []
  return 10_000 * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0))
}

/** What a process has open; nothing once it is gone. */
export function openOf(pid: number): { readonly files: number; readonly sockets: number } {
  const targets = list(`/proc/${pid}/fd`).map((fd) => linkOrEmpty(`/proc/${pid}/fd/${fd}`))
  const sockets = targets.filter((target) => target.startsWith('socket:')).length
  return { files: targets.length - sockets, sockets }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The settings of whoever runs the bench are not those of what it measures. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(CQRS|III)_/.test(name)))
}
