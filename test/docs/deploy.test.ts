import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig, unknownVariables } from '../../src/config/load.ts'
import { EXIT, isPermanent } from '../../src/supervisor/exit-codes.ts'
import { tempFolder } from '../support/temp-folder.ts'

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

/** A piece of the page that this test checks. */
function piece(language: string): string {
  const [, text = ''] =
    new RegExp(`checked by test/docs/deploy\\.test\\.ts -->\n\`\`\`${language}\n([^\`]+)`).exec(
      page('deploy.md'),
    ) ?? []
  expect(text).not.toBe('')
  return text
}

/** Settings given as `NAME=value`, several on a line. */
const variables = (lines: readonly string[]): Record<string, string> =>
  Object.fromEntries(lines.flatMap((line) => line.split(' ')).map((each) => each.split('=')))

const valuesOf = (unit: string, key: string) =>
  [...unit.matchAll(new RegExp(`^${key}=(.+)$`, 'gm'))].map(([, value = '']) => value)

test('the service sets what exists, has time to stop, and is not started again in vain', () => {
  const unit = piece('ini')
  const env = variables(valuesOf(unit, 'Environment'))
  expect(unknownVariables({ env, cwd: tempFolder() })).toEqual([])
  const { data, log, shutdownMs } = loadConfig({ env, cwd: '/srv/shop' })
  expect({ data, format: log.format }).toEqual({ data: '/var/lib/shop', format: 'json' })
  expect(data).toBe(`/var/lib/${valuesOf(unit, 'StateDirectory')[0]}`)
  expect(1_000 * Number(valuesOf(unit, 'TimeoutStopSec')[0])).toBeGreaterThan(shutdownMs)
  // A port may be free the next time.
  const permanent = Object.values(EXIT)
    .map(({ code }) => code)
    .filter((code) => isPermanent(code) && code !== EXIT.portTaken.code)
  expect(valuesOf(unit, 'RestartPreventExitStatus')).toEqual([permanent.join(' ')])
  const [path = ''] = valuesOf(unit, 'Environment').filter((line) => line.startsWith('PATH='))
  const [program = ''] = valuesOf(unit, 'ExecStart')
  expect(`PATH=${program}`.startsWith(`${path.split(':')[0]}/cqrs`)).toBe(true)
})

test('the container sets what exists, and listens where its port is published', () => {
  const [line = ''] = [...piece('dockerfile').matchAll(/^ENV (.+)$/gm)].map(([, value]) => value)
  const env = variables([line])
  expect(unknownVariables({ env, cwd: tempFolder() })).toEqual([])
  expect(loadConfig({ env, cwd: '/srv/shop' })).toMatchObject({
    data: '/data',
    app: '/srv/shop/my-app.ts',
    http: { host: '0.0.0.0', port: 3111 },
  })
})

test('every series with an alert is one that the system has', () => {
  const { groups } = parse(piece('yaml')) as { groups: { rules: { alert: string; expr: string }[] }[] }
  const rules = groups.flatMap(({ rules }) => rules)
  expect(rules.length).toBeGreaterThan(5)
  const known = new Set(page('operate.md').match(/cqrs_\w+/g))
  for (const { expr } of rules)
    for (const name of expr.match(/cqrs_\w+/g) ?? []) expect(known).toContain(name)
})
