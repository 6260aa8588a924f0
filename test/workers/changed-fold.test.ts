import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { startProgram } from '../support/program.ts'
import { newSite, type Site, startPart } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const INDEX = new URL('../../src/index.ts', import.meta.url).href

/** Bank accounts. What a deposit is worth is the business of a file of its own. */
const APP = `
import { conflict, defineApp, defineDecider, defineEvent } from '${INDEX}'
import { z } from '${import.meta.resolve('zod')}'
import { worth } from './worth.ts'

const schema = z.object({ account: z.string(), cents: z.int() })
const Saved = defineEvent({ type: 'saved', schema })
const stream = ({ account }: { account: string }) => account
const bank = defineDecider({ name: 'bank', events: [Saved], initialState: () => ({ cents: 0 }) })
  .evolve({ saved: ({ cents }, { data }) => ({ cents: cents + worth(data.cents) }) })
  .commands({
    save: {
      schema,
      http: { method: 'POST', path: '/:account/save' },
      stream,
      decide: (command) => [{ type: 'saved', data: command }],
    },
    ask: {
      schema: z.object({ account: z.string() }),
      http: { method: 'POST', path: '/:account/ask' },
      stream,
      decide: (_, { cents }) => conflict('asked', String(cents), { cents }),
    },
  })
export default defineApp({ name: 'bank', deciders: [bank] })
`

/** The commands worker, with or without somebody who started it and hears that it is ready. */
async function startCommands(site: Site, isSupervised: boolean) {
  if (isSupervised) return startPart(site, 'commands')
  const run = startProgram(['worker', 'commands'], tempFolder(), { ...site.env, III_URL: site.engine })
  await until('the commands have routes', async () => {
    const response = await fetch(`${site.http}/nobody/ask`, { method: 'POST' })
    return response.status === 409
  })
  return {
    async end(signal: NodeJS.Signals) {
      run.process.kill(signal)
      await run.exited
    },
  }
}

test.each([
  { how: 'under a supervisor', isSupervised: true },
  { how: 'started by hand', isSupervised: false },
])('no command is decided on the snapshot of an earlier code, $how', async ({ isSupervised }) => {
  const folder = tempFolder()
  const site = await newSite({
    CQRS_APP: join(folder, 'app.ts'),
    CQRS_COMMANDS_SNAPSHOT_EVERY: '2',
  })
  writeFileSync(join(folder, 'app.ts'), APP)
  writeFileSync(join(folder, 'worth.ts'), 'export const worth = (cents: number) => cents')
  const post = async (path: string, body: object) => {
    const response = await fetch(`${site.http}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await response.json()) as { error?: { details?: unknown } }
  }
  const balance = async (account: string) => (await post(`${account}/ask`, {})).error?.details
  await startPart(site, 'engine')
  const before = await startCommands(site, isSupervised)
  for (const account of ['ada', 'bob', 'cyd', 'rich']) {
    const cents = account === 'rich' ? 1_000 : 10
    for (let n = 0; n < 4; n += 1) await post(`${account}/save`, { cents })
  }
  await until('the snapshots are stored', () => {
    const db = new DatabaseSync(join(site.data, 'snapshots.db'), { readOnly: true })
    const [row] = db.prepare('SELECT count(*) AS n FROM snapshots').all()
    db.close()
    return row?.n === 4
  })
  expect(await balance('rich')).toEqual({ cents: 4_000 })
  await before.end('SIGTERM')

  writeFileSync(
    join(folder, 'worth.ts'),
    'export const worth = (cents: number) => (cents < 1_000 ? cents : cents + 1)',
  )
  await startCommands(site, isSupervised)
  // These three do not show that anything has changed.
  for (const account of ['ada', 'bob', 'cyd']) expect(await balance(account)).toEqual({ cents: 40 })
  expect(await balance('rich')).toEqual({ cents: 4_004 })
})
