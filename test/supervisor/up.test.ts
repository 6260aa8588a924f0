import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { runProgram, startProgram, startUp } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const shell = promisify(execFile)

/** The processes whose parent is `pid`. */
function childrenOf(pid: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((child) => parentOf(child) === pid)
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('cqrs up brings up the whole system, and the lines that it prints work as printed', async () => {
  const cwd = tempFolder()
  const { output, process: up, exited, engine } = await startUp(cwd, { NODE_COMPILE_CACHE: undefined })
  expect(output.stdout).toContain(join(cwd, 'data'))
  expect(readdirSync(join(cwd, 'data')), 'what Node compiled is kept for the next start').toContain(
    'compiled',
  )

  const [post, get] = output.stdout.split('\n').filter((line) => line.includes('curl'))
  const posted = await shell('sh', ['-c', post ?? ''])
  expect(JSON.parse(posted.stdout)).toMatchObject({ position: 1 })
  await until('the view shows it', async () => {
    const { stdout } = await shell('sh', ['-c', get ?? ''])
    return JSON.parse(stdout).items.length === 1
  })
  const look = /Look: +(.*)npx (cqrs status)/.exec(output.stdout)
  expect(look?.[1]).toBe(`III_URL=${engine} `)
  const status = await runProgram(['status', '--json'], cwd, { III_URL: engine })
  expect(JSON.parse(status.stdout)).toMatchObject({ app: 'inventory', head: 1 })

  const children = childrenOf(up.pid)
  expect(children).toHaveLength(5)
  up.kill('SIGTERM')
  expect(await exited).toBe(0)
  expect(children.filter(lives)).toEqual([])
})

test('a variable that looks like a setting and is none is said once, and keeps nothing from starting', async () => {
  const { output } = await startUp(tempFolder(), { CQRS_LOG_FROMAT: 'json', CQRS_TEST_SEED: '1' })
  const warnings = output.stderr.split('\n').filter((line) => line.includes('is not a setting'))
  expect(warnings).toEqual([expect.stringContaining('CQRS_LOG_FROMAT')])
  expect(JSON.parse(warnings[0] ?? '')).toMatchObject({
    level: 40,
    msg: expect.stringContaining('Did you mean CQRS_LOG_FORMAT?'),
  })
})

test('with III_URL it says that it starts no engine, and where its workers look for one', async () => {
  const nobody = 'ws://127.0.0.1:9'
  const { output, exited, process: up } = startProgram(['up'], tempFolder(), { III_URL: nobody })
  await until('it says so', () => output.stdout.includes('none is started here'))
  expect(output.stdout).toContain(nobody)
  up.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('a second one on the same data folder says who has it and ends with 4', async () => {
  const cwd = tempFolder()
  const { process: up } = await startUp(cwd)
  const second = await runProgram(['up'], cwd, { III_PORT: '0', III_HTTP_PORT: '0' })
  expect(second.exitCode).toBe(4)
  expect(second.stderr).toMatch(new RegExp(`CQRS_STORE_LOCKED: .*process ${up.pid}.*CQRS_DATA`))
})

test('when it is killed, everything that it started ends, and the data folder is free', async () => {
  const cwd = tempFolder()
  const { process: up, exited } = await startUp(cwd)
  const children = childrenOf(up.pid)
  expect(children).toHaveLength(5)
  up.kill('SIGKILL')
  await exited
  await until('all are gone', () => !children.some(lives))
  await startUp(cwd)
})

test('a taken port is named with the way to choose another, and ends with 5', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const cwd = tempFolder()
  const { exitCode, stderr } = await runProgram(['up'], cwd, { III_PORT: '0', III_HTTP_PORT: String(port) })
  expect(exitCode).toBe(5)
  expect(existsSync(join(cwd, 'data')), 'whether a data folder was left behind').toBe(false)
  expect(stderr).toMatch(new RegExp(`CQRS_PORT_TAKEN: Port ${port} .*III_HTTP_PORT=<port>`))
})

test('an app that contradicts itself ends with 2 before anything is started', async () => {
  const cwd = tempFolder()
  writeFileSync(join(cwd, 'app.ts'), 'export default { name: "none" }\n')
  const { exitCode, stderr } = await runProgram(['up'], cwd, { CQRS_APP: 'app.ts' })
  expect(exitCode).toBe(2)
  expect(stderr).toContain('write "export default defineApp({…})"')
})
