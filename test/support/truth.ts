import { expect } from 'vitest'
import { dataPaths, viewPath } from '../../src/config/paths.ts'
import inventory from '../../src/inventory/app.ts'
import type { App } from '../../src/kernel/app.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { handledTypes } from '../../src/kernel/projection.ts'
import { allUnits, type ProjectionUnit } from '../../src/kernel/unit.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { AUDIT_START, auditStep } from '../../src/projection/audit.ts'
import type { ReadableView } from '../../src/projection/contract.ts'
import { type QueriedView, wholeView } from '../../src/projection/partitioned-view.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { request } from './inventory-client.ts'
import { foldInventory } from './inventory-fold.ts'
import type { SettledCommand } from './load.ts'
import type { Site } from './system.ts'
import { until } from './until.ts'

/** Views that are not at the head by then never will be, in milliseconds. */
const HEAD_MS = 20_000

type EventData = { sku: string; quantity?: number; priceCents?: number }

/** What a system holds, read from its stores. */
export interface Truth {
  readonly events: readonly RecordedEvent[]
  /** Alerts that the log calls for. */
  readonly alerts: readonly string[]
  /** How long the views took to reach the head, in milliseconds. */
  readonly caughtUpMs: number
}

/**
 * Checks that a system kept its promises about `settled`, when no command is under way any more: each
 * accepted one is in the log once and as it was answered, each refused one left nothing, order has no
 * gaps, nothing was sold twice, and every view reaches the head and equals a plain fold of the log.
 *
 * @param app the inventory, or one that is split into partitions
 */
export async function expectTruth(
  site: Site,
  settled: readonly SettledCommand[],
  app: App = inventory,
): Promise<Truth> {
  const log = openSqliteEventLog({ path: dataPaths(site.data).events })
  try {
    const events = await readAll(log)
    expectOrder(events)
    await expectAccepted(log, events, settled)
    const { alerts, caughtUpMs } = await expectViews(site, log, events, app)
    return { events, alerts, caughtUpMs }
  } finally {
    await log.close()
  }
}

async function readAll(log: EventLog): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (;;) {
    const page = await log.readFrom(events.length, { limit: 1_000 })
    if (page.events.length === 0) return events
    events.push(...page.events)
  }
}

function expectOrder(events: readonly RecordedEvent[]): void {
  const versions = new Map<string, number>()
  for (const [index, { position, stream, version, id }] of events.entries()) {
    expect(position, 'positions have no gaps').toBe(index + 1)
    expect(version, `versions of ${stream} have no gaps`).toBe((versions.get(stream) ?? 0) + 1)
    versions.set(stream, version)
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
  }
  expect(new Set(events.map(({ id }) => id)).size, 'event ids are unique').toBe(events.length)
}

/** Every event of the log belongs to exactly one accepted command, and the other way round. */
async function expectAccepted(
  log: EventLog,
  events: readonly RecordedEvent[],
  settled: readonly SettledCommand[],
): Promise<void> {
  const owners = new Map<number, string>()
  for (const { command, answer } of settled) {
    const { idempotencyKey } = command
    const recorded = await log.findCommand(idempotencyKey)
    if (answer.status >= 300) {
      expect(recorded, `${idempotencyKey} was refused with ${answer.status}`).toBeUndefined()
      continue
    }
    expect(answer.body, `the answer to ${idempotencyKey}`).toEqual({
      position: recorded?.position,
      version: recorded?.version,
      events: recorded?.events,
    })
    for (
      let position = answer.body.position;
      position > answer.body.position - answer.body.events;
      position -= 1
    ) {
      expect(owners.get(position), `position ${position} belongs to one command only`).toBeUndefined()
      owners.set(position, idempotencyKey)
      const data = events[position - 1]?.data as EventData
      expect(data.sku).toBe(command.body.sku ?? command.path.split('/')[2])
      for (const field of ['quantity', 'priceCents'] as const) {
        if (command.body[field] !== undefined) expect(data[field]).toBe(command.body[field])
      }
    }
  }
  expect(owners.size, 'no event came from nowhere').toBe(events.length)
}

async function expectViews(site: Site, log: EventLog, events: readonly RecordedEvent[], app: App) {
  const expected = foldInventory(events)
  expect(expected.oversold, 'nothing was sold that was not there').toEqual([])
  const started = performance.now()
  const units = allUnits(app).map((unit) => {
    const { projection, partition } = unit
    const path = viewPath(site.data, projection.name, { partition })
    return { ...unit, view: openSqliteViewReader(path, projection) }
  })
  try {
    for (const { name, view } of units) {
      await until(`${name} is at the head`, async () => (await view.position()) >= events.length, HEAD_MS)
    }
    const caughtUpMs = performance.now() - started
    const documents: Record<string, Map<string, unknown>> = {
      'inventory-list': expected.list,
      'inventory-stats': new Map(events.length > 0 ? [['all', expected.stats]] : []),
      'inventory-alert': expected.watched,
    }
    for (const name of app.projections.keys()) {
      const view = wholeView(units.filter((unit) => unit.projection.name === name).map(({ view }) => view))
      const found = await documentsOf(view, name === 'inventory-stats' ? () => 'all' : undefined)
      expect([...found.keys()].sort(), `keys of ${name}`).toEqual([...(documents[name]?.keys() ?? [])].sort())
      for (const [key, document] of found) {
        expect(document, `${name} ${key}`).toEqual(documents[name]?.get(key))
      }
    }
    for (const { name, view, ...unit } of units) {
      await expectCertified(unit, log, view)
      const { parked } = await view.standing()
      expect(parked, `parked events of ${name}`).toEqual({ retrying: 0, dead: 0, waiting: 0 })
      await until(
        `the effects of ${name} are sent`,
        async () => (await view.standing()).effects.pending === 0,
      )
      expect((await view.standing()).effects.dead, `effects of ${name} that were given up`).toBe(0)
    }
    await expectOverHttp(site, events.length, expected.stats)
    return { alerts: expected.alerts, caughtUpMs }
  } finally {
    for (const { view } of units) view.close()
  }
}

/** The view's digest is that of the log: each event of its types and streams was processed once. */
async function expectCertified(
  { projection, partition }: Pick<ProjectionUnit, 'projection' | 'partition'>,
  log: EventLog,
  view: ReadableView,
): Promise<void> {
  const marks = await view.marks(0)
  const types = handledTypes(projection)
  const step = await auditStep({
    log,
    types,
    partition,
    progress: AUDIT_START,
    marks,
    limit: Number.MAX_SAFE_INTEGER,
  })
  expect(step, `the audit of ${projection.name} ${partition.index}`).toMatchObject({ kind: 'agrees' })
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

/** What users see is what the stores hold. */
async function expectOverHttp(site: Site, head: number, stats: unknown): Promise<void> {
  const answer = await until('queries are answered', async () => {
    const found = await request(`${site.http}/inventory/stats?after=${head}`)
    return found.status === 200 && found
  })
  expect(answer.headers.get('x-projection-position')).toBe(String(head))
  expect(answer.body).toEqual(stats)
}
