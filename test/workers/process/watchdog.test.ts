import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'

const WATCHDOG = new URL('../../../src/workers/process/watchdog.ts', import.meta.url)

/** A process under a watchdog of 300 ms that says `ready`, and then does `then`. */
function watched(then: string) {
  const program = `
    import { startWatchdog } from '${WATCHDOG}'
    startWatchdog({ limitMs: 300, intervalMs: 20 })
    setTimeout(() => { process.stdout.write('ready'); setImmediate(() => { ${then} }) }, 50)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stderr.on('data', (chunk) => (said += chunk))
  return { child, said: () => said }
}

test('a process whose event loop stands still is killed, and says why', async () => {
  const { child, said } = watched('for (;;);')
  const [, signal] = await once(child, 'close')
  expect(signal).toBe('SIGKILL')
  expect(said()).toContain('was blocked for 300 ms')
})

test('a process that is stopped for longer than the limit and resumed goes on', async () => {
  const { child } = watched(`
    const end = Date.now() + 2_000
    setInterval(() => { if (Date.now() > end) process.exit(7) }, 10)`)
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  // It has to be stopped for longer than the limit; nothing happens meanwhile that could be waited for.
  await delay(600)
  child.kill('SIGCONT')
  expect(await once(child, 'close')).toEqual([7, null])
})
