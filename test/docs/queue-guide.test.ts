import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runProgram, startNode, startUp } from '../support/program.ts'
import { startRealEngine } from '../support/real-engine.ts'
import { onEachEngine } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const [, guide = ''] = /^## Use only the queue\n(.*?)^## /ms.exec(
  readFileSync(join(ROOT, 'docs', 'queue.md'), 'utf8'),
) ?? ['', '']

/** A block of the guide, without its indent. */
function block(language: string): string {
  const [, text = ''] = new RegExp(`^   \`\`\`${language}\\n(.*?)^   \`\`\``, 'ms').exec(guide) ?? []
  expect(text, `the block of ${language}`).not.toBe('')
  return text.replaceAll(/^ {3}/gm, '')
}

/** The lines for the shell that the guide prints, with their variables. */
const lines = [...guide.matchAll(/^ {7}((?:\w+=\S+ )*)npx (\w+) (.+)$/gm)].map(
  ([, variables = '', program = '', words = '']) => ({
    env: Object.fromEntries(variables.split(' ').flatMap((each) => (each ? [each.split('=')] : []))),
    program,
    words: (words.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', '')),
  }),
)

onEachEngine((newSite) => {
  test('the guide for a project that uses only the queue works as printed, from an empty folder', async () => {
    const site = await newSite()
    if (site.on === 'real') await startRealEngine(site)
    const cwd = tempFolder()
    mkdirSync(join(cwd, 'node_modules'))
    symlinkSync(join(ROOT, 'node_modules', 'iii-sdk'), join(cwd, 'node_modules', 'iii-sdk'))
    writeFileSync(join(cwd, 'iii.config.yaml'), block('yaml'))

    const up = lines.find(({ words, env }) => words[0] === 'up' && 'III_URL' in env === (site.on === 'real'))
    const ports = { III_PORT: site.env.III_PORT, III_HTTP_PORT: site.env.III_HTTP_PORT }
    const { output, engine, http } = await startUp(cwd, {
      ...up?.env,
      ...ports,
      ...(site.on === 'real' && { III_URL: site.engine }),
    })
    expect(output.stdout).toContain('The queue is up.')

    // Everything is at other ports here.
    const mail = block('js').replace('ws://127.0.0.1:49134', engine)
    expect(mail).toContain(engine)
    writeFileSync(join(cwd, 'mail.js'), mail)
    const sender = startNode(['mail.js'], cwd, {})
    await until('three receipts and two mails', () => {
      const { stdout } = sender.output
      const mails = ['mail to ada', 'mail to bob'].filter((mail) => stdout.includes(mail))
      return stdout.split('on stable storage:').length === 4 && mails.length === 2
    })

    const [, exported = ''] = /export (.+)/.exec(guide) ?? []
    const env = { ...Object.fromEntries(exported.split(' ').map((each) => each.split('='))), III_URL: engine }
    const cqrs = async (...words: string[]) => {
      const { exitCode, stdout, stderr } = await runProgram(words, cwd, { ...env, ...ports })
      expect({ words, exitCode, stderr }).toEqual({ words, exitCode: 0, stderr: '' })
      return stdout
    }
    const isDead = async () => (await cqrs('dlq', 'list')).includes('nobody to send it to')
    await until('the third is a dead letter', isDead)
    const after = lines.slice(lines.findIndex(({ program }) => program === 'node') + 1)
    const printed = after.filter(({ words }) => words[0] !== 'doctor')
    expect(printed.map(({ words }) => words.slice(0, 2).join(' '))).toEqual([
      'queues list',
      'dlq list',
      'dlq redrive',
      'dlq list',
      'dlq discard',
    ])
    for (const { words } of printed) {
      const said = await cqrs(...words)
      // Only its own queues are there, and none of an app.
      if (words[0] === 'queues') expect(said.match(/^\S+/gm)).toEqual(['QUEUE', 'default', 'mails'])
      if (words[1] === 'redrive') expect(said).toContain('1 redriven.')
      if (words[1] === 'redrive') await until('it has failed again', isDead)
      if (words[1] === 'discard') expect(said).toContain('1 discarded.')
    }
    expect(await cqrs('doctor')).toMatch(/ok +queue +answers/)
    // On a busy machine a worker may not answer in time.
    await until('it is ready', async () => {
      const { status } = (await (await fetch(`${http}/health/ready`)).json()) as { status: string }
      return status === 'ready'
    })
    expect((await fetch(`${http}/console`)).status).toBe(200)
  })
})
