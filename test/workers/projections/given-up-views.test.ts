import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CqrsProcess } from '../../support/cqrs-process.ts'
import { newSite, startPart } from '../../support/system.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import { until } from '../../support/until.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** The app of docs/effects.md in a folder of its own, with or without its reactor for slips. */
function transfersApp(edit: (text: string) => string = (text) => text): string {
  const path = join(tempFolder(), 'app.ts')
  const text = readFileSync(join(ROOT, 'test/docs/transfers-app.ts'), 'utf8')
    .replace("'iii-durable-cqrs'", `'${new URL('../../../src/index.ts', import.meta.url).href}'`)
    .replace("'zod'", `'${import.meta.resolve('zod')}'`)
  writeFileSync(path, edit(text))
  return path
}

const without = (text: string) => text.replace('reactors: [transfers, slips]', 'reactors: [transfers]')

test('effects of a reactor that the app has lost are told of at the start, and go on once it is defined again', async () => {
  const site = await newSite({ CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '50' })
  const start = async (app: string, ...roles: string[]) => {
    const env = { ...site.env, III_URL: site.engine, CQRS_APP: app }
    const worker = new CqrsProcess(['worker', 'projections', ...roles], env)
    await worker.ready
    return worker
  }
  await startPart(site, 'engine')
  const before = await start(transfersApp(), 'commands')
  const post = (path: string, body: object) =>
    fetch(`${site.http}/accounts/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  for (const account of ['ada', 'bob']) await post(`${account}/save`, { cents: 100 })
  await post('ada/send', { to: 'bob', cents: 10 })
  expect(before.output).not.toContain('The app does not define')
  await until('the effect waits', () => before.output.includes('nobody accepts it'))
  await before.end('SIGTERM')

  const renamed = transfersApp(without)
  expect(readFileSync(renamed, 'utf8')).not.toContain('slips]')
  const after = await start(renamed)
  const told = after.output.split('\n').find((line) => line.includes('The app does not define slips'))
  expect(JSON.parse(told ?? '')).toMatchObject({
    level: 40,
    projection: 'slips',
    effects: { pending: 1, dead: 0 },
    msg: expect.stringContaining('effects that nobody sends now (1 pending, 0 dead)'),
  })
  await after.end('SIGTERM')

  const again = await start(transfersApp())
  expect(again.output).not.toContain('The app does not define')
  await until('the effect waits again', () => again.output.includes('nobody accepts it'))
})
