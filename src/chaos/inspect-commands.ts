import { isDeepStrictEqual } from 'node:util'
import type { RecordedEvent } from '../kernel/event.ts'
import type { EventLog } from '../log/contract.ts'
import type { Finding } from './inspect.ts'
import type { SettledCommand } from './load.ts'

/** What became of the commands of a load. */
export interface CommandsVerdict {
  /** Accepted commands that are not in the log, or differ there from their answer. */
  readonly lost: number
  /**
   * Refused commands that are in the log all the same, events that no accepted command accounts for, and events that
   * two account for.
   */
  readonly doubled: number
  readonly findings: readonly Finding[]
}

export const noCommands: CommandsVerdict = { lost: 0, doubled: 0, findings: [] }

type EventData = Readonly<Record<string, unknown>>

/** The fields of a command that its event holds as they were sent. */
const KEPT_FIELDS = ['quantity', 'priceCents'] as const

/**
 * Checks that each accepted command is in the log as it was answered, that refused ones are not, and that no event
 * belongs to two commands; with `alone`, also that each event belongs to one.
 */
export async function inspectCommands(options: {
  readonly log: EventLog
  readonly events: readonly RecordedEvent[]
  readonly settled: readonly SettledCommand[]
  /** Whether nobody else sent commands. */
  readonly alone: boolean
}): Promise<CommandsVerdict> {
  const { log, events, settled, alone } = options
  const lost: string[] = []
  const doubled: string[] = []
  const owners = new Map<number, string>()
  for (const { command, answer } of settled) {
    const { idempotencyKey: key } = command
    const recorded = await log.findCommand(key)
    if (answer.status >= 300) {
      if (recorded) doubled.push(`${key} was refused with ${answer.status}, but it is in the log.`)
      continue
    }
    const kept = recorded && {
      position: recorded.position,
      version: recorded.version,
      events: recorded.events,
    }
    if (!kept || !isDeepStrictEqual(answer.body, kept)) {
      lost.push(
        `The answer to ${key} was ${JSON.stringify(answer.body)}, but the log has ${JSON.stringify(kept)}.`,
      )
      continue
    }
    for (let position = kept.position; position > kept.position - kept.events; position -= 1) {
      const other = owners.get(position)
      if (other) doubled.push(`Both ${other} and ${key} got position ${position} in their answer.`)
      owners.set(position, key)
      const data = (events[position - 1]?.data ?? {}) as EventData
      if (!fits(data, command)) {
        lost.push(
          `The answer to ${key} was position ${position}, but that event holds ${JSON.stringify(data)}.`,
        )
      }
    }
  }
  if (alone) {
    const strays = events.filter(({ position }) => !owners.has(position))
    doubled.push(...strays.map(({ position, type }) => `No answer mentioned position ${position} (${type}).`))
  }
  return {
    lost: lost.length,
    doubled: doubled.length,
    findings: [
      ...lost.map((message): Finding => ({ what: 'lost', message })),
      ...doubled.map((message): Finding => ({ what: 'doubled', message })),
    ],
  }
}

function fits(data: EventData, { path, body }: SettledCommand['command']): boolean {
  if (data.sku !== (body.sku ?? decodeURIComponent(path.split('/')[2] ?? ''))) return false
  return KEPT_FIELDS.every((field) => body[field] === undefined || body[field] === data[field])
}
