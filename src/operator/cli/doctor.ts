import { styleText } from 'node:util'
import { Command } from 'commander'
import { EXIT } from '../../supervisor/exit-codes.ts'
import type { QueuesPage, SystemStatus } from '../contract.ts'
import { type Check, fail, ok } from '../doctor/check.ts'
import { checkAside, checkDataFolder, checkStores, newestWrite } from '../doctor/data-folder.ts'
import { checkLogEnd } from '../doctor/log-end.ts'
import { checkPorts, checkSystem } from '../doctor/network.ts'
import { checkClock, checkEnvironment, checkRuntime } from '../doctor/runtime.ts'
import type { CliContext } from './context.ts'
import { wrap } from './fit-text.ts'
import { type CallOperation, withOperations } from './operations.ts'
import { layOut, printable, visibleLength } from './table.ts'

/** `cqrs doctor`. */
export function doctorCommand(context: CliContext): Command {
  return new Command('doctor')
    .description('Check what the system needs: Node, configuration, data folder, stores, ports, engine.')
    .option('--stores', 'check only the data folder and its stores, such as those of a backup')
    .option('--json', 'print the checks as JSON')
    .addHelpText(
      'after',
      '\nChanges nothing, and works whether or not the system runs. Exit code 1: a check failed; with warnings alone it is 0.',
    )
    .action(async ({ stores, json }: { stores?: boolean; json?: boolean }) => {
      const checks = stores ? await examineCopy(context.config().data) : await examine(context)
      if (json) context.print(JSON.stringify(checks, null, 2))
      else for (const line of renderChecks(checks, context.width)) context.print(line)
      if (checks.some(({ status }) => status === 'fail')) context.exit(EXIT.failed.code)
    })
}

async function examine(context: CliContext): Promise<Check[]> {
  const { env } = context.process
  const environment = checkEnvironment({ env, cwd: context.process.cwd() })
  const checks = [...checkRuntime(process.versions), ...environment]
  try {
    const config = context.config()
    const { status, others } = await withOperations(context, async (call) => {
      const found = await call('ops::status', {})
      return { status: found, others: await othersLetters(call, found).catch((error: Error) => error) }
    }).catch((error: Error): { status: SystemStatus | Error; others: number | Error } => ({
      status: error,
      others: 0,
    }))
    return [
      ...checks,
      checkClock(Date.now(), await newestWrite(config.data)),
      ok('configuration', config.file ?? 'defaults and environment; there is no iii.config.yaml'),
      ...(await examineStores(config.data)),
      ...(await checkPorts(config, !(status instanceof Error))),
      ...checkSystem(config, status, others),
    ]
  } catch (error) {
    return [...checks, fail('configuration', (error as Error).message, 'Correct it, then run this again.')]
  }
}

/** Checks what is in a data folder, whether or not it is that of a system. */
async function examineStores(data: string): Promise<Check[]> {
  const { allStores } = await import('../../supervisor/migrate-stores.ts')
  return [
    ...(await checkDataFolder(data)),
    ...(await checkStores(data, allStores(data))),
    ...checkLogEnd(data),
    ...(await checkAside(data)),
  ]
}

/** Checks a data folder that is expected to have stores, such as a backup. */
async function examineCopy(data: string): Promise<Check[]> {
  const checks = await examineStores(data)
  if (checks.some(({ name }) => name.endsWith('.db'))) return checks
  return [
    ...checks,
    fail('stores', `${data} has none`, 'Name a data folder, or a backup, with CQRS_DATA=<folder>.'),
  ]
}

/** Number of dead letters in queues that the status does not cover. */
async function othersLetters(call: CallOperation, { projections }: SystemStatus): Promise<number> {
  const told = new Set(projections.map(({ name }) => name))
  let letters = 0
  for (let after: string | null = ''; after !== null; ) {
    const page: QueuesPage = await call('ops::queues', { after, limit: 500 })
    for (const { queue, deadLetters } of page.queues) if (!told.has(queue)) letters += deadLetters
    after = page.next
  }
  return letters
}

/** The checks as text for people, line by line. */
function renderChecks(checks: readonly Check[], width: number): string[] {
  const marks = {
    ok: styleText('green', 'ok'),
    warn: styleText('yellow', 'warn'),
    fail: styleText('red', 'FAIL'),
  }
  const names = layOut(
    [
      { title: '', cell: ({ status }: Check) => marks[status] },
      { title: '', cell: ({ name }) => name },
    ],
    checks,
  ).slice(1)
  const start = 2 + Math.max(...names.map(visibleLength))
  return checks.flatMap(({ found, advice }, index) => {
    const name = names[index] ?? ''
    const [first = '', ...others] = hung(found, start, width)
    return [
      name + first.slice(visibleLength(name)),
      ...others,
      ...(advice === undefined ? [] : hung(advice, ADVICE_INDENT, width)),
    ]
  })
}

const ADVICE_INDENT = 6

/** `text` indented by `indent` blanks, in lines that fit the terminal. */
function hung(text: string, indent: number, width: number): string[] {
  return printable(text)
    .split('\n')
    .flatMap((line) => wrap(line, width - indent))
    .map((line) => ' '.repeat(indent) + line)
}
