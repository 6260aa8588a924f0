import { isDeepStrictEqual } from 'node:util'
import { dataPaths, viewPath } from '../config/paths.ts'
import { activeOf } from '../control/contract.ts'
import { openSqliteControl } from '../control/sqlite/control-store.ts'
import type { App } from '../kernel/app.ts'
import type { RecordedEvent } from '../kernel/event.ts'
import { handledTypes } from '../kernel/projection.ts'
import { allUnits, type ProjectionUnit } from '../kernel/unit.ts'
import type { EventLog } from '../log/contract.ts'
import { openSqliteEventLog } from '../log/sqlite/event-log.ts'
import { AUDIT_START, auditStep } from '../projection/audit.ts'
import type { ReadableView } from '../projection/contract.ts'
import { type QueriedView, wholeView } from '../projection/partitioned-view.ts'
import { openSqliteViewReader } from '../projection/sqlite/view-reader.ts'
import { type CommandsVerdict, inspectCommands, noCommands } from './inspect-commands.ts'
import { foldInventory } from './inventory-fold.ts'
import type { SettledCommand } from './load.ts'
import { until } from './until.ts'

/**
 * How long a view may take to reach the head, and its effects to be sent, before that counts as failed, in
 * milliseconds.
 */
const HEAD_MS = 20_000

/** A broken promise, in words that name the place. */
export interface Finding {
  readonly what:
    | 'lost'
    | 'doubled'
    | 'oversold'
    | 'order'
    | 'unsettled'
    | 'behind'
    | 'view'
    | 'audit'
    | 'parked'
    | 'effects'
  readonly message: string
}

/** The result for one view, or for one partition of it. */
export interface ViewVerdict {
  readonly name: string
  readonly position: number
  /** How many events its digest covers. */
  readonly processed: number
  /** `certified`, or the first difference from the log. */
  readonly audit: string
  /** Whether its documents equal those of a plain fold of the log; null if the app is not the inventory. */
  readonly equalsFold: boolean | null
}

/** What a system holds, read from its stores, and what is wrong with it. */
export interface Inspection {
  readonly events: readonly RecordedEvent[]
  readonly commands: CommandsVerdict
  /** Idempotency keys of the alerts that the log calls for; empty for an app other than the inventory. */
  readonly alerts: readonly string[]
  /** What the inventory's statistics have to be; undefined for another app. */
  readonly stats: Readonly<Record<string, number>> | undefined
  readonly views: readonly ViewVerdict[]
  /** How long the views took to reach the head, in milliseconds. */
  readonly caughtUpMs: number
  readonly findings: readonly Finding[]
}

/** What {@link inspect} looks at. */
export interface Inspected {
  /** The data folder. */
  readonly data: string
  readonly app: App
  /** The commands whose answers are known. */
  readonly settled: readonly SettledCommand[]
  /** Whether nobody else sent commands, so that every event of the log has to belong to one of `settled`. */
  readonly alone: boolean
  /** Ends all waiting when it is aborted. */
  readonly ended?: AbortSignal
}

/** Whether an app is the inventory, whose views can be compared with a fold that is independent of them. */
export function isInventory({ name, projections }: App): boolean {
  const views = ['inventory-list', 'inventory-stats', 'inventory-alert']
  return name === 'inventory' && views.every((view) => projections.has(view))
}

/**
 * Checks whether a system kept its promises. Call it when no command is under way any more. Each accepted command must
 * be in the log once, as it was answered, and each refused one must have left nothing. The order must have no gaps.
 * Every view must reach the head, be certified, and have nothing parked or unsent. For the inventory, also nothing may
 * have been sold twice, and every view must equal a plain fold of the log.
 */
export async function inspect({ data, app, settled, alone, ended }: Inspected): Promise<Inspection> {
  const log = openSqliteEventLog({ path: dataPaths(data).events })
  const units = await openServing(app, data)
  try {
    const events = await readAll(log)
    const known = isInventory(app)
    const findings = inspectOrder(events)
    const commands = known ? await inspectCommands({ log, events, settled, alone }) : noCommands
    findings.push(...commands.findings)

    const started = performance.now()
    for (const unit of units) findings.push(...(await reachesHead(unit, events.length, ended)))
    const caughtUpMs = performance.now() - started
    const expected = known ? foldInventory(events) : undefined
    for (const position of expected?.oversold ?? []) {
      findings.push({ what: 'oversold', message: `Position ${position} sells more than was in stock.` })
    }
    const different = new Set<string>()
    if (expected) {
      const documents: Readonly<Record<string, ReadonlyMap<string, unknown>>> = {
        'inventory-list': expected.list,
        'inventory-stats': new Map(events.length > 0 ? [['all', expected.stats]] : []),
        'inventory-alert': expected.watched,
      }
      for (const [name, wanted] of Object.entries(documents)) {
        const parts = units.filter(({ projection }) => projection.name === name).map(({ view }) => view)
        const found = await documentsOf(
          wholeView(parts),
          name === 'inventory-stats' ? () => 'all' : undefined,
        )
        const differences = compare(name, found, wanted)
        if (differences.length > 0) different.add(name)
        findings.push(...differences)
      }
    }
    const views: ViewVerdict[] = []
    for (const unit of units) {
      const verdict = await inspectUnit(unit, log, ended)
      findings.push(...verdict.findings)
      const equalsFold = expected ? !different.has(unit.projection.name) : null
      views.push({ ...verdict.view, equalsFold })
    }
    const { alerts = [], stats } = expected ?? {}
    return { events, commands, alerts, stats, views, caughtUpMs, findings }
  } finally {
    for (const { view } of units) await view.close()
    await log.close()
  }
}

/** A unit with its part of the generation that serves, open for reading. */
export type OpenUnit = ProjectionUnit & { readonly view: ReadableView }

/** Opens the views that serve; one that the data folder does not have is empty. The caller closes them. */
export async function openServing(app: App, data: string): Promise<OpenUnit[]> {
  const active = await activeGenerations(app, data)
  return allUnits(app).map((unit) => {
    const { projection, partition } = unit
    const generation = active.get(projection.name) ?? 1
    const path = viewPath(data, projection.name, { generation, partition })
    return { ...unit, view: openSqliteViewReader(path, projection) }
  })
}

async function readAll(log: EventLog): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (;;) {
    const page = await log.readFrom(events.length, { limit: 1_000 })
    if (page.events.length === 0) return events
    events.push(...page.events)
  }
}

function inspectOrder(events: readonly RecordedEvent[]): Finding[] {
  const findings: Finding[] = []
  const versions = new Map<string, number>()
  for (const [index, { position, stream, version }] of events.entries()) {
    if (position !== index + 1) {
      findings.push({
        what: 'order',
        message: `Position ${index + 1} is expected in the log, but ${position} was found.`,
      })
    }
    const expected = (versions.get(stream) ?? 0) + 1
    if (version !== expected) {
      const message = `Version ${expected} of ${stream} is missing; the event at position ${position} has version ${version}.`
      findings.push({ what: 'order', message })
    }
    versions.set(stream, version)
  }
  const strange = events.find(({ id }) => !/^[0-9a-f-]{36}$/.test(id))
  if (strange)
    findings.push({
      what: 'order',
      message: `The event at position ${strange.position} has the invalid id ${strange.id}.`,
    })
  if (new Set(events.map(({ id }) => id)).size !== events.length) {
    findings.push({ what: 'doubled', message: 'Two events in the log have the same id.' })
  }
  return findings
}

async function reachesHead({ name, view }: OpenUnit, head: number, ended?: AbortSignal): Promise<Finding[]> {
  try {
    await until(`${name} is at the head`, async () => (await view.position()) >= head, HEAD_MS, ended)
    return []
  } catch (error) {
    const position = await view.position()
    const message = `${name} is at position ${position} and did not reach the head of the log, ${head}, within ${HEAD_MS} ms: ${error}`
    return [{ what: 'behind', message }]
  }
}

function compare(
  name: string,
  found: ReadonlyMap<string, unknown>,
  wanted: ReadonlyMap<string, unknown>,
): Finding[] {
  return [...new Set([...found.keys(), ...wanted.keys()])]
    .filter((key) => !isDeepStrictEqual(found.get(key), wanted.get(key)))
    .map((key) => ({
      what: 'view',
      message: `${name} ${key} is ${JSON.stringify(found.get(key))}; according to the log it should be ${JSON.stringify(wanted.get(key))}.`,
    }))
}

/** Checks that the digest is that of the log, nothing is parked, and no effect is left. */
async function inspectUnit(
  { name, projection, partition, view }: OpenUnit,
  log: EventLog,
  ended: AbortSignal | undefined,
) {
  const findings: Finding[] = []
  const marks = await view.marks(0)
  const step = await auditStep({
    log,
    types: handledTypes(projection),
    partition,
    progress: AUDIT_START,
    marks,
    limit: Number.MAX_SAFE_INTEGER,
  })
  const audit = step.kind === 'agrees' ? 'certified' : step.finding.message
  if (step.kind === 'found') findings.push({ what: 'audit', message: `${name}: ${audit}` })
  const { position, parked } = await view.standing()
  if (Object.values(parked).some((count) => count > 0)) {
    findings.push({ what: 'parked', message: `Events of ${name} are parked: ${JSON.stringify(parked)}.` })
  }
  const unsent = `effects of ${name} were not sent`
  const allSent = async () => (await view.standing()).effects.pending === 0
  await until(unsent, allSent, HEAD_MS, ended).catch(() => {})
  const { effects } = await view.standing()
  if (effects.pending + effects.dead > 0) {
    findings.push({
      what: 'effects',
      message: `${unsent}: ${effects.pending} are pending, ${effects.dead} are dead.`,
    })
  }
  return { view: { name, position, processed: marks.at(-1)?.processed ?? 0, audit }, findings }
}

async function documentsOf(
  view: QueriedView,
  keyOf: (document: { sku?: string }) => string = ({ sku }) => String(sku),
): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>()
  let cursor: string | undefined
  do {
    const page = await view.find({ limit: 500, ...(cursor && { cursor }) })
    for (const document of page.items) found.set(keyOf(document as { sku?: string }), document)
    cursor = page.next
  } while (cursor)
  return found
}

/** The number of the active generation of each view. A view that the data folder does not have is left out. */
export async function activeGenerations(app: App, data: string): Promise<Map<string, number>> {
  const control = openSqliteControl({ path: dataPaths(data).control })
  try {
    const active = new Map<string, number>()
    for (const name of app.projections.keys()) {
      const serving = activeOf(await control.projection(name))
      if (serving) active.set(name, serving.generation)
    }
    return active
  } finally {
    await control.close()
  }
}
