import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { checksum, type EventRow } from '../../src/log/sqlite/row.ts'
import { AUDIT_START, type AuditFinding, type AuditProgress, auditStep } from '../../src/projection/audit.ts'
import { extendDigest } from '../../src/projection/digest.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'

/** A view with 2,500 events in batches of 400, other events between them, and an audit of it. */
async function audited() {
  const world = ledger()
  const moves = (amount: number) => ({ type: 'moved', schemaVersion: 1, data: { account: 'ada', amount } })
  const metadata = { commandId: 'c', correlationId: 'c' }
  for (let version = 0; version < 2_500; version += 500) {
    const events = Array.from({ length: 500 }, (_, index) => moves(index))
    await world.log.append({ stream: 'ada', expectedVersion: version, events, metadata })
    await world.appendRaw(`notes-${version}`, 0, 'noted', { text: 'not one of its events' })
  }
  await toHead(world.projector({ batchSize: 400 }))

  return {
    ...world,
    /** Damages a store behind the system's back. */
    damage(path: string, sql: string) {
      const vandal = new DatabaseSync(path)
      vandal.exec(sql)
      vandal.close()
    },
    async audit(limit = 600): Promise<{ progress: AuditProgress; finding?: AuditFinding }> {
      const reader = openSqliteViewReader(world.viewPath, balances())
      try {
        let progress = AUDIT_START
        for (;;) {
          const marks = await reader.marks(progress.position)
          if (marks.length === 0) return { progress }
          const types = new Set(['moved'])
          const isDefined = (type: string) => types.has(type)
          const step = await auditStep({ log: world.log, types, isDefined, progress, marks, limit })
          if (step.kind === 'found') return { progress, finding: step.finding }
          progress = step.progress
        }
      } finally {
        await reader.close()
      }
    },
  }
}

test('a view that processed each event once is certified, in stretches of any length', async () => {
  const { audit } = await audited()
  for (const limit of [7, 600, 10_000]) {
    expect(await audit(limit)).toMatchObject({ progress: { position: 2_505, processed: 2_500 } })
  }
})

test('events of types that the app does not define are told of, in stretches of any length', async () => {
  const { audit } = await audited()
  for (const limit of [7, 600, 10_000]) {
    expect((await audit(limit)).progress.undefinedTypes).toEqual({ noted: 5 })
  }
})

test('a view whose checkpoint differs is not certified by the mark of the same position', async () => {
  const { audit, damage, viewPath } = await audited()
  damage(viewPath, 'INSERT INTO digest_marks SELECT position, processed, digest FROM checkpoint')
  expect((await audit()).finding).toBeUndefined()
  for (const other of ['0', 'f']) {
    damage(viewPath, `UPDATE checkpoint SET digest = '${other.repeat(64)}'`)
    expect(await audit()).toMatchObject({ finding: { kind: 'differs', upTo: 2_505 } })
  }
})

test('other work gets its turn while a stretch is audited', async () => {
  const { audit } = await audited()
  let turns = 0
  const count = () => {
    turns += 1
    turn = setImmediate(count)
  }
  let turn = setImmediate(count)
  await audit(10_000)
  clearImmediate(turn)
  expect(turns).toBeGreaterThanOrEqual(2)
})

test('an event that vanished from the log is named', async () => {
  const { audit, damage, logPath } = await audited()
  damage(logPath, 'DELETE FROM events WHERE position = 1234')
  expect((await audit()).finding).toMatchObject({ kind: 'missing-from-log', after: 1_233, upTo: 1_234 })
})

test('an event whose bytes changed is named', async () => {
  const { audit, damage, logPath } = await audited()
  damage(logPath, `UPDATE events SET data = replace(data, 'ada', 'eve') WHERE position = 1234`)
  expect((await audit()).finding).toMatchObject({ kind: 'changed-in-log', after: 1_233, upTo: 1_234 })
})

test.each([
  ['id', `replace(id, '-7', '-6')`],
  ['stream', `stream || 'x'`],
  ['version', 'version + 1'],
  ['previous', 'previous + 1'],
  ['type', `'noted'`],
  ['schema_version', 'schema_version + 1'],
  ['metadata', `replace(metadata, '"', ' "')`],
  ['recorded_at', 'recorded_at + 1'],
  ['checksum', 'checksum + 1'],
])('other bytes in the column %s of an event are named', async (column, value) => {
  const { audit, damage, logPath } = await audited()
  damage(logPath, `UPDATE events SET ${column} = ${value} WHERE position = 1234`)
  expect((await audit()).finding).toMatchObject({ kind: 'changed-in-log', after: 1_233, upTo: 1_234 })
})

test('an event that was moved to another position is reported missing at its own', async () => {
  const { audit, damage, logPath } = await audited()
  damage(logPath, 'UPDATE events SET position = 100000 WHERE position = 1234')
  expect((await audit()).finding).toMatchObject({ kind: 'missing-from-log', after: 1_233, upTo: 1_234 })
})

test('an event that was replaced by another is found, up to the next mark', async () => {
  const { audit, damage, logPath } = await audited()
  const db = new DatabaseSync(logPath)
  const row = db.prepare('SELECT * FROM events WHERE position = 1234').get() as unknown as EventRow
  db.close()
  const forged = { ...row, id: '01890000-0000-7000-8000-000000000000' }
  damage(
    logPath,
    `UPDATE events SET id = '${forged.id}', checksum = ${checksum(forged)} WHERE position = 1234`,
  )
  const { finding } = await audit()
  expect(finding).toMatchObject({
    kind: 'differs',
    message: expect.stringContaining('other events than the log has'),
  })
  expect(finding?.after).toBeLessThan(1_234)
  expect(finding?.upTo).toBeGreaterThanOrEqual(1_234)
  expect((finding?.upTo ?? 0) - (finding?.after ?? 0)).toBeLessThan(1_500)
})

test('an event that was applied twice is counted', async () => {
  const { audit, damage, view, viewPath, log } = await audited()
  const { digest } = await view.checkpoint()
  const { events } = await log.readFrom(2_503, { limit: 1 })
  const doubled = extendDigest(digest, events)
  damage(viewPath, `UPDATE checkpoint SET processed = processed + 1, digest = '${doubled}'`)
  expect((await audit()).finding).toMatchObject({ message: expect.stringContaining('1 too many') })
})

test('a checkpoint that was set back or ahead is found', async () => {
  const back = await audited()
  back.damage(back.viewPath, 'UPDATE checkpoint SET position = position - 3')
  expect((await back.audit()).finding).toMatchObject({ kind: 'differs' })
  const ahead = await audited()
  ahead.damage(ahead.viewPath, 'UPDATE checkpoint SET position = position + 3')
  expect((await ahead.audit()).finding).toMatchObject({ kind: 'missing-from-log', upTo: 2_506 })
})

test('an event that was left out is counted', async () => {
  const { audit, damage, view, viewPath, log } = await audited()
  const { events } = await log.readFrom(0, { limit: 2_505 })
  const without = events.filter(({ type, position }) => type === 'moved' && position !== 2_400)
  const digest = extendDigest('0'.repeat(64), without)
  expect(digest).not.toBe((await view.checkpoint()).digest)
  damage(viewPath, `UPDATE checkpoint SET processed = processed - 1, digest = '${digest}'`)
  expect((await audit()).finding).toMatchObject({ message: expect.stringContaining('left out 1') })
})

test('of two differences in one stretch the first is named', async () => {
  const { audit, damage, logPath, viewPath } = await audited()
  damage(logPath, `UPDATE events SET data = '{}' WHERE position = 1500`)
  damage(viewPath, `INSERT INTO digest_marks VALUES (900, 899, '${'0'.repeat(64)}')`)
  expect((await audit(10_000)).finding).toMatchObject({ kind: 'differs', after: 0, upTo: 900 })
})

test('if a mark is missing, a difference is still found, but its place is less exact', async () => {
  const { audit, damage, viewPath } = await audited()
  damage(viewPath, 'DELETE FROM digest_marks')
  expect(await audit()).toMatchObject({ progress: { position: 2_505, processed: 2_500 } })
  damage(viewPath, 'UPDATE checkpoint SET processed = processed + 1')
  expect((await audit()).finding).toMatchObject({ kind: 'differs', after: 0, upTo: 2_505 })
})
