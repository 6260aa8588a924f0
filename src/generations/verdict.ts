import type { Generation } from '../control/contract.ts'
import type { ProjectionDefinition } from '../kernel/projection.ts'
import type { ViewDamage } from '../projection/damage.ts'
import { type Comparison, type ParityReport, parityVerdict } from '../projection/parity.ts'

/** What becomes of a generation that was compared with the one that serves. */
export type Verdict =
  | { readonly kind: 'swap' }
  /** It was made for the comparison only. */
  | { readonly kind: 'verified' }
  | { readonly kind: 'failed'; readonly error: string }

/**
 * Decides what becomes of a generation. Damage to the serving one is a reason to replace it, not to wait, unless parity
 * is required or the serving one owes effects that cannot be read.
 */
export function verdictOn(
  { purpose, requireParity }: Pick<Generation, 'purpose' | 'requireParity'>,
  report: ParityReport,
  { name, kind }: Pick<ProjectionDefinition, 'name' | 'kind'>,
): Verdict {
  if (report.kind === 'damaged' && report.side === 'after')
    return { kind: 'failed', error: ownDamage(report) }
  if (purpose === 'verify') return { kind: 'verified' }
  if (report.kind === 'damaged') {
    if (kind === 'reactor' && !report.estateIsWhole)
      return { kind: 'failed', error: lostEstate(name, report) }
    if (!requireParity) return { kind: 'swap' }
    const error =
      `The active generation is damaged in ${report.file} (${report.reason}), so the two cannot be compared. ` +
      `"cqrs rebuild ${name}", without --require-parity, replaces it with a sound one.`
    return { kind: 'failed', error }
  }
  const parity = parityVerdict(report)
  if (!requireParity || parity === 'same') return { kind: 'swap' }
  if (parity === 'inconclusive') return { kind: 'failed', error: notAtOnePosition(name, report) }
  const advice =
    report.damaged === 0
      ? ''
      : ` ${report.damaged} documents of the active one are damaged: "cqrs rebuild ${name}", without --require-parity, ` +
        'replaces it with a sound one.'
  return { kind: 'failed', error: `It differs from the active generation, and parity was required.${advice}` }
}

function notAtOnePosition(name: string, { before, after }: Comparison): string {
  return (
    `It could not be compared with the active generation at one position (they were at ${before.position} and ` +
    `${after.position}, and kept moving), and parity was required. Try again when fewer events arrive: ` +
    `"cqrs rebuild ${name} --require-parity".`
  )
}

/** Why a generation fails whose own files are damaged. */
export function ownDamage({ file, reason }: ViewDamage): string {
  return `Its own file ${file} is damaged (${reason}). Start the build again; if the new file is damaged too, check the disk.`
}

/**
 * Why the serving generation of a reactor cannot take over the effects that the one before it had not sent.
 *
 * @param own the files of the serving generation
 */
export function lostTakeOver(name: string, { file, reason }: ViewDamage, own: readonly string[]): string {
  return (
    `The effects that ${name} has not sent yet cannot be taken over: ${file} is damaged (${reason}), so nothing is applied or ` +
    `sent. Put back a sound copy of it. Or give it up: stop the system, move ${own.join(', ')} away with its -wal and -shm ` +
    'files, and start again. The view is then rebuilt from the log, and ALL its effects are sent again, under the same keys.'
  )
}

/** Why nothing can take the place of a reactor's generation whose effects cannot be read. */
export function lostEstate(name: string, { file, reason }: ViewDamage): string {
  return (
    `The effects that ${name} has not sent yet cannot be read: ${file} is damaged (${reason}). Stop the system, move the file ` +
    'away with its -wal and -shm files, and start again. The view is then rebuilt from the log, and ALL its ' +
    'effects are sent again, under the same keys.'
  )
}
