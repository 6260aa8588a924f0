import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { machineFacts } from './lab/machine.ts'
import { fillOptions } from './options.ts'
import { describeMachine, describeScenario, type ScenarioResult, table } from './report.ts'
import { runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

// A system that has run before finds its modules compiled; so do the processes and threads that are measured here.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL('../../node_modules/.cache/compiled-for-bench', import.meta.url),
)

const HELP = `
Figures depend on the machine and on who else uses it; the ratios, whose two sides are measured in the same rounds, much less.

Exit codes:
  0  every scenario ran
  1  one could not be run, or found that something grows
  2  an option is wrong

Examples:
  npm run bench -- --list
  npm run bench -- append --rounds 7
  npm run bench -- command --set concurrency=16,64 --json results.json
  REDIS_URL=redis://127.0.0.1:6379 POSTGRES_URL=postgres://… npm run bench -- peers`

const program = new Command('npm run bench --')
  .description('Load tests: how fast it is, where it ends, and against what.')
  .argument('[scenarios...]', 'which scenarios to run; --list names them', [])
  .option('-l, --list', 'list the scenarios with their options')
  .option('-r, --rounds <n>', 'measured rounds of each line, after one that warms up', wholeNumber, 3)
  .option(
    '-s, --set <name=value>',
    'an option of a scenario; may be repeated',
    collect,
    new Map<string, string>(),
  )
  .option(
    '-j, --json <file>',
    'also write everything to a file; "-" writes it to standard output instead of tables',
  )
  .option('--tiny', 'the sizes of the smoke test: whether it works, not how fast it is')
  .option('--folder <path>', 'where the stores lie; their disk is what is measured', tmpdir())
  .option('--profile <path>', 'let processes write CPU profiles into this folder')
  .addHelpText('after', HELP)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))

interface Options {
  list?: true
  rounds: number
  set: Map<string, string>
  json?: string
  tiny?: true
  folder: string
  profile?: string
}

program.parse()
const options = program.opts<Options>()
const out = (text: string) => void process.stdout.write(`${text}\n`)
const say = (text: string) => void process.stderr.write(`${text}\n`)

if (options.list) for (const scenario of SCENARIOS) out(`${describeScenario(scenario)}\n`)
else process.exitCode = await run(chosen(program.args))

/** `soak` takes minutes and has to be asked for. */
function chosen(names: readonly string[]): readonly Scenario[] {
  const known = new Map(SCENARIOS.map((scenario) => [scenario.name, scenario]))
  const unknown = names.filter((name) => !known.has(name))
  if (unknown.length > 0)
    program.error(`There is no scenario ${unknown.join(', ')}; there are: ${[...known.keys()].join(', ')}.`)
  const options = new Set(SCENARIOS.flatMap((scenario) => Object.keys(scenario.options)))
  const stray = [...program.opts<Options>().set.keys()].filter((name) => !options.has(name))
  if (stray.length > 0) program.error(`No scenario has an option ${stray.join(', ')}; --list shows them.`)
  const picked =
    names.length === 0
      ? SCENARIOS.filter(({ name }) => name !== 'soak')
      : names.map((name) => known.get(name) as Scenario)
  assertOptions(picked)
  return picked
}

/** Ends the program if a value of `--set` does not fit, before anything is measured. */
function assertOptions(scenarios: readonly Scenario[]): void {
  const { set, tiny = false } = program.opts<Options>()
  try {
    for (const scenario of scenarios) fillOptions(scenario, set, tiny)
  } catch (error) {
    program.error(error instanceof Error ? error.message : String(error))
  }
}

async function run(scenarios: readonly Scenario[]): Promise<number> {
  const quiet = options.json === '-'
  const folder = mkdtempSync(join(resolve(options.folder), 'cqrs-bench-'))
  const profile = options.profile && resolve(options.profile)
  if (profile) mkdirSync(profile, { recursive: true })
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const machine = machineFacts(folder, new Date())
  if (!quiet) out(describeMachine(machine))
  const results: ScenarioResult[] = []
  let failed = false
  for (const scenario of scenarios) {
    try {
      const { rounds, set: given, tiny = false } = options
      const result = await runScenario(scenario, {
        given,
        tiny,
        rounds,
        folder,
        profile,
        env: process.env,
        say,
      })
      results.push(result)
      if (!quiet) out(shown(scenario, result))
    } catch (error) {
      failed = true
      say(
        `${scenario.name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      )
    }
  }
  const json = JSON.stringify({ machine, results }, null, 2)
  if (quiet) out(json)
  else if (options.json) writeFileSync(options.json, `${json}\n`)
  return failed ? 1 : 0
}

function shown({ name, title }: Scenario, result: ScenarioResult): string {
  const notes = result.notes.map((note) => `- ${note}`)
  return [
    `\n## ${name}: ${title}`,
    `Durable when answered: ${result.durable}.`,
    '',
    table(result),
    ...notes,
  ].join('\n')
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1 to 999,999.')
}

function collect(text: string, set: Map<string, string>): Map<string, string> {
  const [, name, value] = /^([\w-]+)=(.*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new InvalidArgumentError('It looks like name=value.')
  return set.set(name, value)
}
