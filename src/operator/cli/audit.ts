import { Command } from 'commander'
import { isCqrsError } from '../../kernel/errors.ts'
import { isMeant } from '../../kernel/unit.ts'
import { EXIT, exitCodeOf } from '../../supervisor/exit-codes.ts'
import type { AuditAnswer } from '../contract.ts'
import type { CliContext } from './context.ts'
import { type CallOperation, withOperations } from './operations.ts'
import { bar } from './progress-bar.ts'
import { count, cut } from './table.ts'

/** `cqrs audit`. */
export function auditCommand(context: CliContext): Command {
  return new Command('audit')
    .description(
      'Prove from the log that a projection has processed every event exactly once, or show the difference.',
    )
    .argument('[projection]', 'the projection to audit; all if left out')
    .option('--json', 'print one object per projection as JSON')
    .addHelpText(
      'after',
      `
Each view keeps a running digest of the events that it has processed. The audit recomputes it from the log, event by event, up
to the position that the view had when the audit began. Exit code 0: everything agrees; 1: a difference was found; 6: a view is
damaged and was not audited, the others were.

Examples:
  cqrs audit
  cqrs audit inventory-list --json`,
    )
    .action(async (projection: string | undefined, { json }: { json?: boolean }) => {
      await withOperations(context, async (call) => {
        const names = await unitsOf(call, projection)
        if (names.length === 0) return nothingToProve(context)
        for (const name of names) {
          try {
            const answer = await audit(call, name, (done) => progress(context, name, done))
            if (answer.finding) context.exit(EXIT.failed.code)
            context.print(json ? JSON.stringify(answer) : renderAudit(answer))
          } catch (error) {
            // A view that is damaged keeps nobody from the proof of the others.
            if (names.length === 1 || !isCqrsError(error, 'CQRS_STORE_CORRUPT')) throw error
            context.warn(`${name}: NOT audited. ${error.code}: ${error.message}`)
            context.exit(exitCodeOf(error))
          }
        }
      })
    })
}

/** Says that an app has no view. That is no failure, but must not be taken for a proof either. */
export function nothingToProve(context: CliContext): void {
  context.warn('This app has no projections and no reactors, so there is nothing to check.')
}

/** The units of one projection, or of all. An unknown name is passed on as it is: the audit reports it. */
async function unitsOf(call: CallOperation, projection: string | undefined): Promise<string[]> {
  const units = (await call('ops::status', {})).projections.map(({ name }) => name)
  if (projection === undefined) return units
  const meant = units.filter((unit) => isMeant(projection, unit))
  return meant.length > 0 ? meant : [projection]
}

async function audit(
  call: CallOperation,
  projection: string,
  onProgress: (answer: AuditAnswer) => void,
): Promise<AuditAnswer> {
  let answer = await call('ops::audit', { projection })
  while (!answer.finding && answer.progress.position < answer.target.position) {
    onProgress(answer)
    answer = await call('ops::audit', { projection, progress: answer.progress, target: answer.target })
  }
  onProgress(answer)
  return answer
}

/** Shows a progress bar on a terminal; elsewhere nothing, because the verdict is enough. */
function progress({ process, width }: CliContext, name: string, { progress, target }: AuditAnswer): void {
  if (!process.stdout.isTTY) return
  const ended = progress.position >= target.position
  const line = `${name} ${bar(progress.position, target.position)} ${count(progress.position)} of ${count(target.position)}`
  process.stdout.write(`\r\x1b[K${ended ? '' : cut(line, width)}`)
}

/** The result of an audit as text for people. */
export function renderAudit({ projection, progress, target, parked, finding }: AuditAnswer): string {
  if (finding) {
    return (
      `${projection}: NOT certified. Everything up to position ${count(finding.after)} agrees. ${finding.message}${givenUp(finding)} ` +
      'What to do: docs/operate.md, "A view that differs from the log".'
    )
  }
  const waiting = parked.dead + parked.retrying + parked.waiting
  return (
    `${projection}: certified through position ${count(target.position)}: ${count(progress.processed)} events, ` +
    `0 missing, 0 doubled, ${count(waiting)} parked${passedOver(progress)}`
  )
}

/** A rebuild would take the events of such a type out of the view for good. */
function givenUp({ undefinedTypes = {} }: NonNullable<AuditAnswer['finding']>): string {
  const types = Object.keys(undefinedTypes).join(', ')
  if (types === '') return ''
  return (
    ` The log has types that this app does not define: ${types}. If the app was changed and they were removed or renamed, the view ` +
    'is right and the app is not: define them again, and do not rebuild.'
  )
}

/** No view contains these events: that is intended if a type was given up, and a loss if it was only renamed. */
function passedOver({ undefinedTypes = {} }: AuditAnswer['progress']): string {
  const found = Object.entries(undefinedTypes).map(([type, events]) => `${type} (${count(events)} events)`)
  return found.length === 0 ? '' : `. The log has types that this app does not define: ${found.join(', ')}`
}
