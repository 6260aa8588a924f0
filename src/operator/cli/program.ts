import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { isCqrsError } from '../../kernel/errors.ts'
import { EXIT, exitCodeOf } from '../../supervisor/exit-codes.ts'
import { actionsCommand } from './actions.ts'
import { auditCommand } from './audit.ts'
import { backupCommand } from './backup.ts'
import { chaosCommand } from './chaos.ts'
import { commandCommand } from './command.ts'
import { type CliContext, type CliProcess, createContext } from './context.ts'
import { dlqCommand } from './dlq.ts'
import { doctorCommand } from './doctor.ts'
import { engineCommand } from './engine.ts'
import { eventsCommand } from './events.ts'
import { fitText } from './fit-text.ts'
import { migrateCommand } from './migrate.ts'
import { OperationFailed } from './operations.ts'
import { projectionsCommand, pruneCommand, rollbackCommand } from './projections.ts'
import { queuesCommand } from './queues.ts'
import { rebuildCommand, verifyCommand } from './rebuild.ts'
import { warnOfUnknownVariables } from './service.ts'
import { statusCommand } from './status.ts'
import { allCommands, fullName, refuseUnknown } from './unknown-command.ts'
import { upCommand } from './up.ts'
import { refuseBlank } from './values.ts'
import { viewCommand } from './view.ts'
import { workerCommand } from './worker.ts'
import { workersCommand } from './workers.ts'

/**
 * Runs the program `cqrs`.
 *
 * @param args the arguments behind the program's name
 * @returns the exit code, see {@link EXIT}
 */
export async function runCli(args: readonly string[], host: CliProcess): Promise<number> {
  let exitCode: number = EXIT.ok.code
  const context = createContext(host, (code) => (exitCode = code))
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok.code : EXIT.usage.code
    context.warn(describe(error))
    return exitCodeOf(error)
  } finally {
    await context.printed()
  }
}

/** Commands that report unknown variables in their own way: services in their log, `doctor` as a check. */
const REPORTING = ['up', 'worker', 'engine', 'doctor']

/** The program with all its commands. */
export function createProgram(context: CliContext): Command {
  const program = new Command('cqrs')
    .description('CQRS and event sourcing with guaranteed delivery on the iii engine.')
    .version(ownVersion())
    .option(
      '-c, --config <file>',
      'the configuration file; by default CQRS_CONFIG, otherwise ./iii.config.yaml',
    )
    .hook('preAction', (_program, command) => {
      refuseBlank(command)
      const { config } = program.opts<{ config?: string }>()
      if (config) context.process.env.CQRS_CONFIG = config
      const isSupervised = context.process.send !== undefined
      if (!isSupervised && !REPORTING.includes(command.name())) warnOfUnknownVariables(context)
    })
    .addHelpText('after', exitCodeHelp())
  const commands = [
    upCommand,
    workerCommand,
    engineCommand,
    statusCommand,
    eventsCommand,
    dlqCommand,
    queuesCommand,
    workersCommand,
    auditCommand,
    actionsCommand,
    chaosCommand,
    projectionsCommand,
    rebuildCommand,
    verifyCommand,
    rollbackCommand,
    pruneCommand,
    viewCommand,
    commandCommand,
    doctorCommand,
    backupCommand,
    migrateCommand,
  ]
  for (const make of commands) program.addCommand(make(context))
  for (const command of allCommands(program)) {
    // Only a command with subcommands hears this.
    command.on('command:*', ([word = '']: string[]) => refuseUnknown(command, word))
    command.showHelpAfterError(`Run "${fullName(command)} --help" for help.`)
    command.exitOverride().configureOutput({
      writeOut: (text) => void context.process.stdout.write(fitText(text, context.width)),
      writeErr: (text) => void context.process.stderr.write(fitText(text, context.width)),
      getOutHelpWidth: () => context.width,
      getErrHelpWidth: () => context.width,
    })
  }
  return program
}

function ownVersion(): string {
  const packageJson = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(packageJson) as { version: string }).version
}

function exitCodeHelp(): string {
  const lines = Object.values(EXIT).map(({ code, meaning }) => `  ${code}  ${meaning}`)
  return ['', 'Exit codes:', ...lines].join('\n')
}

function describe(error: unknown): string {
  if (isCqrsError(error)) return `${error.code}: ${error.message}`
  if (error instanceof OperationFailed) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
