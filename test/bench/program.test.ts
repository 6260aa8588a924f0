import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'

const PROGRAM = new URL('bench.ts', import.meta.url).pathname
const TINY = ['--tiny', '--rounds', '1']

function bench(...args: string[]) {
  return promisify(execFile)(process.execPath, [PROGRAM, ...args])
}

test('--json prints the machine, what was durable and the figures for a program, and nothing else', async () => {
  const folder = tempFolder()
  const { stdout } = await bench('append', ...TINY, '--folder', folder, '--json', '-')
  const { machine, results } = JSON.parse(stdout)
  expect(machine).toMatchObject({
    cpu: expect.any(String),
    cores: expect.any(Number),
    node: process.version,
    filesystem: expect.stringMatching(/\w/),
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  })
  expect(machine.fsyncMs).toBeGreaterThan(0)
  expect(results).toMatchObject([
    {
      scenario: 'append',
      durable: expect.stringContaining('fsync before the answer'),
      rounds: 1,
      rows: [{ of: { callers: 1 } }, { of: { callers: 16 } }],
    },
  ])
  expect(results[0].rows[0].is['appends/s'].median).toBeGreaterThan(0)
  expect(readdirSync(folder)).toEqual([])
}, 60_000)

test('what people read says what was durable when it was answered', async () => {
  const { stdout } = await bench('append', ...TINY, '--set', 'callers=1', '--folder', tempFolder())
  expect(stdout).toMatch(/ cores, .* fsync of 4 KiB .* ms, Node v/)
  expect(stdout).toMatch(/^Durable when answered: the event, .* fsync before the answer/m)
}, 60_000)

test.each([
  ['a value that does not fit', ['append', '--set', 'callers=many'], 'append: callers takes numbers'],
  ['an option that none has', ['append', '--set', 'calers=1'], 'No scenario has an option calers'],
  ['a scenario that there is not', ['apend'], 'There is no scenario apend'],
])('%s ends it with 2 before anything is measured', async (_, args, message) => {
  const failure = bench(...args)
  await expect(failure).rejects.toMatchObject({ code: 2, stdout: '' })
  await expect(failure).rejects.toMatchObject({ stderr: expect.stringContaining(message) })
})
