import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { opsToken } from '../support/ops-token.ts'
import { RawWorker } from '../support/raw-worker.ts'
import { newSite, type Site, startParts } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

async function transfers() {
  const site = await newSite({
    CQRS_APP: join(import.meta.dirname, 'transfers-app.ts'),
    CQRS_PROJECTIONS_MAX_ATTEMPTS: '2',
    CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50',
  })
  await startParts(site, { without: ['queue'] })
  const post = async (path: string, body: object, given: Record<string, string> = {}) => {
    const headers = { 'content-type': 'application/json', ...given }
    const response = await fetch(`${site.http}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(200)
  }
  return {
    site,
    save: (account: string, cents: number) => post(`/accounts/${account}/save`, { cents }),
    send: (account: string, to: string, cents: number, headers?: Record<string, string>) =>
      post(`/accounts/${account}/send`, { to, cents }, headers),
    /** The balance of an account; undefined if there is no such account. */
    async cents(account: string): Promise<unknown> {
      const response = await fetch(`${site.http}/accounts/${account}`)
      return ((await response.json()) as { cents?: unknown }).cents
    },
  }
}

/** The receiver of the guide, as a process of its own. @returns what it has printed so far, and its database */
function startReceiver(site: Site) {
  const path = join(tempFolder(), 'slips.db')
  const env = { ...process.env, III_URL: site.engine, SLIPS_DB: path }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'receiver.ts')], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (text) => (printed += text))
  return { printed: () => printed, path }
}

test('money that one account sends arrives at the other once, by an effect that is a command', async () => {
  const { site, save, send, cents } = await transfers()
  await save('ada', 1_000)
  await save('bob', 10)
  await send('ada', 'bob', 300)
  await until('it has arrived', async () => (await cents('bob')) === 310)
  expect(await cents('ada')).toBe(700)

  // The same effect once more: a crash after it was sent and before that was noted does this.
  const again = await RawWorker.connect(site.engine)
  const input = { account: 'bob', from: 'ada', cents: 300 }
  const { result } = await again.call('cmd::receive', input, {
    metadata: { idempotencyKey: 'transfers:3:1' },
  })
  expect(result).toMatchObject({ kind: 'accepted', position: 4, replayed: true })
  expect(await cents('bob')).toBe(310)
})

test('an effect whose command is rejected is not lost: it is dead, says why, and arrives after a redrive', async () => {
  const { site, save, send, cents } = await transfers()
  await save('ada', 1_000)
  await send('ada', 'bob', 300)
  const operator = await RawWorker.connect(site.engine)
  const ask = async (id: string, payload: object) =>
    (await operator.call(id, payload, { metadata: opsToken(site.data) })).result
  const dead = () => ask('ops::effects::dead::transfers', { limit: 10 }) as Promise<unknown[]>
  await until('it is dead', async () => (await dead()).length > 0)
  expect(await dead()).toMatchObject([
    {
      idempotencyKey: 'transfers:2:1',
      attempts: 2,
      error: 'The command cmd::receive was not accepted: no_account: There is no account bob.',
    },
  ])
  await save('bob', 10)
  await ask('ops::effects::redrive::transfers', {})
  await until('it has arrived', async () => (await cents('bob')) === 310)
  expect(await dead()).toEqual([])
})

test('what is done because of a request carries its correlation id, whoever does it', async () => {
  const { site, save, send, cents } = await transfers()
  const receiver = await RawWorker.connect(site.engine)
  const kept = Promise.withResolvers<unknown>()
  await receiver.offer('slips::keep', (_data, { metadata }) => kept.resolve(metadata))
  await save('ada', 1_000)
  await save('bob', 10)
  await send('ada', 'bob', 300, { 'X-Correlation-Id': 'request-7' })
  await until('it has arrived', async () => (await cents('bob')) === 310)
  const log = openSqliteEventLog({ path: dataPaths(site.data).events })
  onTestFinished(() => log.close())
  const [sent, received] = (await log.readFrom(2, { limit: 2 })).events
  const cause = { correlationId: 'request-7', causationId: sent?.id }
  expect(received).toMatchObject({ type: 'money-received', metadata: cause })
  expect(await kept.promise).toEqual(cause)
})

test('the receiver of the guide does once what it is called for, and hears what is published', async () => {
  const { site, save, send } = await transfers()
  const { printed, path } = startReceiver(site)
  await save('ada', 1_000_000)
  await send('ada', 'bob', 300)
  await until('the call was received', () => printed().includes('slips:2:1 is kept'))

  const again = await RawWorker.connect(site.engine)
  const data = { account: 'ada', to: 'bob', cents: 300, idempotencyKey: 'slips:2:1' }
  await again.call('slips::keep', data)
  await until('it was received again', () => printed().includes('slips:2:1 came again'))
  const slips = new DatabaseSync(path, { readOnly: true })
  onTestFinished(() => slips.close())
  expect(slips.prepare('SELECT key, text FROM slips').all()).toEqual([
    { key: 'slips:2:1', text: '300 cents from ada to bob' },
  ])

  await send('ada', 'bob', 100_000)
  await until('the topic was heard', () => printed().includes('slips:3:2: 100000 cents were sent'))
})
