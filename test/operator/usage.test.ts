import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { createProgram } from '../../src/operator/cli/program.ts'
import { run } from './fake-process.ts'

const COMMANDS = createProgram({} as never).commands.map((command) => command.name())

test('there are the commands that the documentation names', () => {
  expect(COMMANDS).toEqual([
    'up',
    'worker',
    'engine',
    'status',
    'events',
    'dlq',
    'queues',
    'workers',
    'audit',
    'actions',
    'chaos',
    'projections',
    'rebuild',
    'verify',
    'rollback',
    'prune',
    'view',
    'command',
    'doctor',
    'backup',
    'migrate',
  ])
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const listed = new Set([...readme.matchAll(/^ {4}npx cqrs (\S+)/gm)].map(([, name]) => name))
  expect([...listed].toSorted()).toEqual(COMMANDS.toSorted())
})

test('--version tells the version of the package', async () => {
  expect(await run(['--version'])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  })
})

test('--help tells every exit code', async () => {
  const { exitCode, stdout } = await run(['--help'])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/0 {2}done\n[\s\S]*3 {2}no engine answers[\s\S]*6 {2}a store/)
})

test.each([
  ['up'],
  ['worker'],
  ['engine'],
  ['status'],
  ['events', 'tail'],
  ['events', 'show'],
  ['events', 'export'],
  ['events', 'import'],
  ['dlq', 'list'],
  ['dlq', 'groups'],
  ['dlq', 'show'],
  ['dlq', 'redrive'],
  ['dlq', 'discard'],
  ['audit'],
  ['chaos'],
  ['queues', 'list'],
  ['queues', 'purge'],
  ['backup'],
  ['command'],
])('cqrs %s %s --help explains itself with an example', async (...args) => {
  const { exitCode, stdout } = await run([...args.filter(Boolean), '--help'])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/Examples?:\n/)
})

const leaves = (command: Command): string[][] => [
  [],
  ...command.commands.flatMap((inner) => leaves(inner).map((path) => [inner.name(), ...path])),
]

test.each(leaves(createProgram({} as never)).map((path) => path.join(' ')))(
  'the help of cqrs %s fits the terminal',
  async (path) => {
    const args = [...path.split(' ').filter(Boolean), '--help']
    const piped = (await run(args)).stdout
    for (const columns of [60, 80, 100]) {
      const { stdout } = await run(args, {}, columns)
      expect(stdout.split('\n').filter((line) => line.length > columns)).toEqual([])
      // Nothing but the breaks of lines differs.
      expect(stdout.replaceAll(/\s+/g, ' ')).toBe(piped.replaceAll(/\s+/g, ' '))
    }
  },
)

test.each([
  { args: ['statsu'], hint: 'Did you mean status?' },
  { args: ['status', '--jsno'], hint: 'Did you mean --json?' },
  { args: ['dlq', 'redirve'], hint: 'Did you mean redrive?' },
  // A near name may do harm: prune removes what a rollback would return to.
  { args: ['pause', 'x'], hint: 'Did you mean "cqrs queues pause" or "cqrs projections pause"?' },
  { args: ['purge', 'x'], hint: 'Did you mean "cqrs queues purge"?' },
  { args: ['projections', 'rebuild', 'x'], hint: 'Did you mean "cqrs rebuild"?' },
  { args: ['projections', 'shwo', 'list'], hint: 'Did you mean show?' },
  { args: ['worker', 'comands'], hint: 'Did you mean "commands"?' },
  { args: ['dlq', 'list', '--source', 'parkd'], hint: 'Did you mean "parked"?' },
  { args: ['actions', '--operation', 'ops::rebiuld'], hint: 'Did you mean "ops::rebuild"?' },
  { args: ['chaos', '--kind', 'kil'], hint: 'Did you mean "kill"?' },
])('a mistyped word is answered with the nearest: $args', async ({ args, hint }) => {
  const { exitCode, stderr } = await run(args)
  expect(exitCode).toBe(2)
  expect(stderr).toContain(hint)
})

test.each([
  { args: ['statsu'], help: 'cqrs --help' },
  { args: ['status', '--jsno'], help: 'cqrs status --help' },
  { args: ['dlq', 'redirve'], help: 'cqrs dlq --help' },
  { args: ['dlq', 'show'], help: 'cqrs dlq show --help' },
  { args: ['dlq', 'redrive'], help: 'cqrs dlq redrive --help' },
  { args: ['dlq', 'discard', 'queue:a:1', '--reason', ''], help: 'cqrs dlq discard --help' },
  { args: ['rebuild', 'list', '--until', '0'], help: 'cqrs rebuild --help' },
  { args: ['audit', 'list', 'stats'], help: 'cqrs audit --help' },
  { args: ['projections', 'shwo', 'list'], help: 'cqrs projections --help' },
])('after a mistake one line says where help is: $args', async ({ args, help }) => {
  const { exitCode, stdout, stderr } = await run(args)
  expect(exitCode).toBe(2)
  expect(stderr.trimEnd().split('\n').at(-1)).toBe(`Run "${help}" for help.`)
  expect(stdout).toBe('')
})

test.each([
  { args: ['worker'], says: 'missing required argument' },
  { args: ['dlq', 'show', '42'], says: 'parked:<projection>:<position> or effect:<reactor>' },
  { args: ['dlq', 'redrive'], says: 'exactly one of <id>, a filter such as --name or --group, or --all' },
  {
    args: ['dlq', 'redrive', 'queue:a:1', '--all'],
    says: 'exactly one of <id>, a filter such as --name or --group, or --all',
  },
  { args: ['dlq', 'redrive', 'queue:a:1', '--dry-run'], says: '--dry-run is for several letters' },
  { args: ['dlq', 'discard', 'queue:a:1'], says: '--reason' },
  { args: ['dlq', 'list', '--limit', '0'], says: 'a whole number from 1 to 500' },
  { args: ['chaos', '--kind', 'cut', '--role', 'engine'], says: 'cut cannot hit engine' },
  { args: ['chaos', '--faults', '0'], says: 'a whole number from 1 to 1000000' },
  { args: ['rebuild', 'inventory-list', '--until', 'tomorrow'], says: 'a position from 1 on, a day' },
  { args: ['rebuild', 'inventory-list', '--until', '0'], says: 'Give a position from 1 on, a day' },
  { args: ['events', 'tail', '--from', '-1'], says: 'a whole number from 1' },
])('a wrong command line is refused before anything is done: $args', async ({ args, says }) => {
  const { exitCode, stdout, stderr } = await run(args)
  expect(exitCode).toBe(2)
  expect(stderr).toContain(says)
  expect(stdout).toBe('')
})

test.each([
  { args: ['dlq', 'discard', 'queue:a:1', '--reason', ''], names: "option '--reason <text>'" },
  { args: ['view', 'find', 'inventory-list', '--by', ' '], names: "option '--by <field>'" },
  { args: ['events', 'tail', '--type', 'a', '--type', ''], names: "option '--type <type>'" },
  { args: ['dlq', 'list', '--name='], names: "option '--name <name>'" },
  { args: ['projections', 'show', ''], names: "argument 'projection'" },
  { args: ['queues', 'purge', 'default', '--confirm', '\t'], names: "option '--confirm <queue>'" },
  { args: ['--config', '', 'status'], names: "option '-c, --config <file>'" },
])('what is given blank is refused and named: $args', async ({ args, names }) => {
  const { exitCode, stdout, stderr } = await run(args)
  expect(exitCode).toBe(2)
  expect(stderr).toContain(`error: ${names} is blank`)
  expect(stdout).toBe('')
})

test('a field of a document may be searched for that is blank', async () => {
  const { exitCode, stderr } = await run(['view', 'find', 'list', '--by', 'note', '--equals', ''], {
    III_URL: `ws://127.0.0.1:${await closedPort()}`,
  })
  expect(exitCode).toBe(3)
  expect(stderr).toContain('CQRS_ENGINE_UNREACHABLE')
})

test('a wrong configuration ends with 2 and names the key', async () => {
  const { exitCode, stderr } = await run(['status'], { III_PORT: 'http' })
  expect(exitCode).toBe(2)
  expect(stderr).toMatch(/^CQRS_CONFIG_INVALID: .*III_PORT is "http"\. Allowed: a whole number/)
})

test('--config names the configuration and must exist', async () => {
  const { exitCode, stderr } = await run(['status', '--config', 'nowhere.yaml'])
  expect(exitCode).toBe(2)
  expect(stderr).toContain('nowhere.yaml cannot be read')
})

test('without an engine the program says so at once, what to do, and ends with 3', async () => {
  const { exitCode, stdout, stderr } = await run(['status', '--json'], {
    III_URL: `ws://127.0.0.1:${await closedPort()}`,
  })
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(/^CQRS_ENGINE_UNREACHABLE: .*cqrs up/)
  expect(stdout).toBe('')
})

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

test.each([['migrate'], ['events', 'import', 'no-such-file'], ['status']])(
  'a mistyped variable is named before the command does anything: %s %s',
  async (...args) => {
    const { stderr, stdout } = await run(args, { CQRS_DTA: '/elsewhere', III_PORT: '1' })
    expect(stderr.split('\n')[0]).toBe(
      'The environment variable CQRS_DTA is not a setting and has no effect. Did you mean CQRS_DATA?',
    )
    expect(stdout).not.toContain('CQRS_DTA')
  },
)
