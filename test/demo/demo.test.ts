import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'

const DEMO = fileURLToPath(new URL('demo.ts', import.meta.url))

test('a small demo agrees, serves until it is stopped, and leaves nothing behind', {
  timeout: 60_000,
}, async () => {
  const folder = tempFolder()
  const demo = spawn(process.execPath, [DEMO, '--limit', '30', '--keep'], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void demo.kill('SIGKILL'))
  const exited = once(demo, 'exit')
  const printed: string[] = []
  let stats = ''
  for await (const line of createInterface({ input: demo.stdout })) {
    printed.push(line)
    stats ||= /curl (\S+\/inventory\/stats)/.exec(line)?.[1] ?? ''
    if (!stats || demo.killed) continue
    expect(await (await fetch(stats)).json()).toMatchObject({ items: 30 })
    demo.kill('SIGINT')
  }
  expect(await exited).toEqual([0, null])
  expect(printed.join('\n')).toContain('A plain fold of the file agrees to the cent')
  await expect(fetch(stats)).rejects.toThrow('fetch failed')
  expect(readdirSync(folder)).toEqual([])
})
