import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Boundary } from '../../src/boundaries.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { EMPTY_DIGEST, extendDigest } from '../../src/projection/digest.ts'
import { BoundaryTrap } from '../support/boundary-trap.ts'
import { tempFolderOfFile } from '../support/temp-folder.ts'
import { effectOf, type Touched } from '../support/touched.ts'
import { until } from '../support/until.ts'

const PROGRAM = new URL('../support/projector-process.ts', import.meta.url)
const folder = tempFolderOfFile()
const ACCOUNTS = ['ada', 'bob', 'cy']

/** Where one process is stopped, and the account whose handler fails until it goes on. */
const STOPS: readonly { boundary: Boundary; ill?: string }[] = [
  { boundary: 'batch-read' },
  { boundary: 'trial-begun' },
  { boundary: 'batch-folded' },
  { boundary: 'batch-stored' },
  { boundary: 'effect-recorded' },
  { boundary: 'effect-sent' },
  { boundary: 'effect-forgotten' },
  { boundary: 'event-parked', ill: 'ada' },
  { boundary: 'retry-failed', ill: 'bob' },
  { boundary: 'retry-stored', ill: 'cy' },
  // Last, as it takes longest: the write lock of the view is held meanwhile.
  { boundary: 'view-written' },
]

let log: EventLog
let zombie: ChildProcess
let other: ChildProcess
let trap: BoundaryTrap

const versions = new Map<string, number>()

/** Appends a movement for each account; every other one has an effect. */
async function appendSome(): Promise<void> {
  for (const account of ACCOUNTS) {
    const version = versions.get(account) ?? 0
    versions.set(account, version + 1)
    await log.append({
      stream: account,
      expectedVersion: version,
      events: [{ type: 'moved', schemaVersion: 1, data: { account, amount: version % 2 ? 1 : -1 } }],
      metadata: { commandId: 'c', correlationId: 'c' },
    })
  }
}

async function start(env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = fork(PROGRAM, [folder], { env: { ...process.env, ...env } })
  await once(child, 'message')
  return child
}

beforeAll(async () => {
  log = openSqliteEventLog({ path: join(folder, 'events.db') })
  trap = new BoundaryTrap(join(folder, 'trap'))
  zombie = await start(trap.env)
  other = await start({})
  await appendSome()
})
afterEach(() => {
  trap.clear()
  zombie.kill('SIGCONT')
})
afterAll(async () => {
  for (const child of [zombie, other]) child.kill('SIGKILL')
  await log.close()
})

function makeIll(account: string, isIll: boolean): void {
  const file = join(folder, `ill-${account}`)
  if (isIll) writeFileSync(file, '')
  else rmSync(file, { force: true })
}

function stored() {
  const db = new DatabaseSync(join(folder, 'touched.1.db'), { readOnly: true })
  const all = (sql: string) => db.prepare(sql).all() as Record<string, string | number>[]
  const [checkpoint] = all('SELECT position, processed, digest FROM checkpoint')
  const parked = all('SELECT position FROM parked').length
  const effects = all('SELECT id FROM effects').length
  const documents = all('SELECT key, document FROM documents').map(({ key, document }) => ({
    account: String(key),
    ...(JSON.parse(String(document)) as Touched),
  }))
  db.close()
  return { checkpoint, parked, effects, documents }
}

/** The view is a plain fold of the log, its digest is that of the log, and every effect was taken in order. */
async function expectTruth(): Promise<void> {
  const head = await log.head()
  await until(`the view is at ${head}, and nothing waits`, () => {
    const { checkpoint, parked, effects } = stored()
    return checkpoint?.position === head && parked === 0 && effects === 0
  })
  const { events } = await log.readFrom(0, { limit: head })
  const { checkpoint, documents } = stored()
  expect(checkpoint).toEqual({ position: head, processed: head, digest: extendDigest(EMPTY_DIGEST, events) })
  const accountOf = ({ data }: RecordedEvent) => (data as { account: string }).account
  const wanted = ACCOUNTS.map((account) => ({
    account,
    applied: events.filter((event) => accountOf(event) === account).map(({ position }) => position),
  }))
  expect(documents).toEqual(wanted)

  const taken = readFileSync(join(folder, 'effects'), 'utf8').trim().split('\n')
  const caused = events
    .filter(({ data }) => (data as { amount: number }).amount < 0)
    .map(({ position }) => effectOf(position))
  expect([...new Set(taken)].sort()).toEqual(caused.sort())
}

test.each(STOPS)(
  'a process that is stopped at $boundary, overtaken and goes on changes nothing twice',
  async ({ boundary, ill }) => {
    await expectTruth()
    trap.set(boundary, { signal: 'SIGSTOP' })
    await until('one process is stopped', async () => {
      // A retry succeeds only if the handler was ill and is well again.
      if (ill) makeIll(ill, boundary !== 'retry-stored' || !stored().parked)
      if (!trap.sprung) await appendSome()
      return trap.sprung
    })

    for (let round = 0; round < 5; round += 1) await appendSome()
    if (boundary === 'view-written') {
      // The other waits for the lock longer than SQLite does, fails, and tries again.
      const before = stored().checkpoint?.position
      await new Promise((resolve) => setTimeout(resolve, 6_000))
      expect(stored().checkpoint?.position).toBe(before)
    } else {
      const head = await log.head()
      await until('the other process went on alone', () => stored().checkpoint?.position === head)
    }
    zombie.kill('SIGCONT')
    if (ill) makeIll(ill, false)
    await appendSome()
    await expectTruth()
    expect([zombie.exitCode, other.exitCode], 'both are still at work').toEqual([null, null])
  },
)
