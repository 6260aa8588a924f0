import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'

const WATCHDOG = new URL('../../../src/workers/process/watchdog.ts', import.meta.url)

/** How long the event loop may stand still: longer than it gets no turn on a busy machine. */
const LIMIT_MS = 2_000

/** A process that says `ready` when its watchdog is at work, and then does `then`. */
function watched(then: string) {
  const program = `
    import { startWatchdog } from '${WATCHDOG}'
    process.once('worker', (thread) => thread.once('online', () => {
      process.stdout.write('ready')
      setImmediate(() => { ${then} })
    }))
    startWatchdog({ limitMs: ${LIMIT_MS}, intervalMs: 20 })
    setInterval(() => {}, 1_000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stderr.on('data', (chunk) => (said += chunk))
  return { child, closed: once(child, 'close'), said: () => said }
}

test('a process whose event loop stands still is killed, and says why', async () => {
  const { closed, said } = watched('for (;;);')
  const [, signal] = await closed
  expect(signal).toBe('SIGKILL')
  expect(said()).toContain(`was blocked for ${LIMIT_MS} ms`)
})

test('a process that is stopped for longer than the limit and resumed goes on', async () => {
  // It ends after two seconds of its own, those in which it is stopped not counted.
  const { child, closed } = watched(`
    let turns = 0
    setInterval(() => { if (++turns === 100) process.exit(7) }, 20)`)
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  // It has to be stopped for longer than the limit; nothing happens meanwhile that could be waited for.
  await delay(1.5 * LIMIT_MS)
  child.kill('SIGCONT')
  expect(await closed).toEqual([7, null])
})
