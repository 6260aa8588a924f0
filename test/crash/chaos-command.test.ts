import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import type { StormReport } from '../../src/chaos/report.ts'
import { request } from '../support/inventory-client.ts'
import { runProgram, startProgram, startUp } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 240_000 })

const OTHER_APP = fileURLToPath(new URL('../docs/readme-app.ts', import.meta.url))

test('Ctrl-C ends a storm early: the system heals, is checked, and is removed', async () => {
  const folder = tempFolder()
  const storm = startProgram(['chaos', '--kind', 'kill', '--faults', '500', '--seed', '3'], folder, {
    TMPDIR: folder,
  })
  await until('a first fault came', () => storm.output.stdout.includes('1/500'), 60_000)
  storm.process.kill('SIGINT')
  expect(await storm.exited, storm.output.stderr).toBe(0)
  expect(storm.output.stdout).toMatch(/of 500 faults in .* \(interrupted\)/)
  expect(storm.output.stdout).toContain('Every promise was kept.')
  expect(readdirSync(folder)).toEqual([])
})

test('a running system is hit from outside, and goes on; if somebody stops it, the storm says so at once', async () => {
  const folder = tempFolder()
  const up = await startUp(folder, { CQRS_SUPERVISOR_BACKOFF_CAP_MS: '400' })
  const env = { III_PORT: new URL(up.engine).port, III_HTTP_PORT: new URL(up.http).port }
  const options = ['--running', '--load', '--rate', '600', '--faults', '6', '--kind', 'kill', '--seed', '5']
  const { exitCode, stdout, stderr } = await runProgram(['chaos', ...options, '--json'], folder, env)
  expect(exitCode, stderr).toBe(0)
  const report = JSON.parse(stdout) as StormReport
  expect(report).toMatchObject({ ok: true, system: 'running', faults: { done: 6 }, findings: [] })
  expect(report.faults.byKind.kill).not.toHaveProperty('supervisor')
  expect(report.commands).toMatchObject({ lost: 0, doubled: 0, oversold: 0 })
  expect(up.process.exitCode).toBeNull()
  await until('queries are answered', async () => (await request(`${up.http}/inventory`)).status === 200)

  const other = await runProgram(['chaos', '--running'], folder, { ...env, CQRS_APP: OTHER_APP })
  expect(other, other.stderr).toMatchObject({ exitCode: 2 })
  expect(other.stderr).toMatch(
    /^CQRS_APP_INVALID: .* has no view balances of the app banks.* No fault was inflicted\.$/m,
  )

  const endless = ['--running', '--load', '--rate', '600', '--faults', '500', '--kind', 'kill']
  const storm = startProgram(['chaos', ...endless], folder, env)
  await until('a first fault came', () => storm.output.stdout.includes('1/500'), 60_000)
  up.process.kill('SIGTERM')
  expect(await storm.exited).toBe(1)
  expect(storm.output.stdout).toMatch(/\(system ended\)[\s\S]*Nothing was proven/)
  expect(storm.output.stderr).toMatch(
    /The system ended, but not because of the storm .*"CQRS_DATA=.* cqrs up", then run "cqrs audit" and "cqrs verify"/,
  )
})

test('without an app there is nothing to prove, and no fault is inflicted', async () => {
  const folder = tempFolder()
  const storm = await runProgram(['chaos'], folder, { CQRS_APP: 'none', TMPDIR: folder })
  expect(storm).toMatchObject({ exitCode: 2, stdout: '' })
  expect(storm.stderr).toMatch(/^CQRS_APP_INVALID: .*CQRS_APP=none.* leave CQRS_APP out/m)
  expect(readdirSync(folder)).toEqual([])
})

test('an app that is not the inventory gets faults and an audit, and the report says so', async () => {
  const options = ['--kind', 'kill', 'cut', '--rate', '600', '--faults', '4', '--seed', '9', '--keep']
  const folder = tempFolder()
  const env = { CQRS_APP: OTHER_APP, TMPDIR: folder }
  const { exitCode, stdout, stderr } = await runProgram(['chaos', ...options], folder, env)
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toContain('Left out: commands: only those of the inventory are known, not of banks.')
  expect(stdout).toMatch(/balances +0 +0 +certified +not known/)
  const kept = /are in (\S+)\.$/m.exec(stderr)?.[1] ?? ''
  expect(existsSync(`${kept}/system.log`)).toBe(true)
})

test('without a running system --running says what to do, and ends with 3', async () => {
  const { exitCode, stderr } = await runProgram(['chaos', '--running'], tempFolder())
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(/^CQRS_ENGINE_UNREACHABLE: No "cqrs up" runs on .*CQRS_DATA/)
})
