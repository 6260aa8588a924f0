import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { ledger } from '../support/ledger.ts'

const PROGRAM = new URL('../support/crashing-projector.ts', import.meta.url).pathname

/** Runs the process of crashing-projector.ts to its end. */
async function run(logPath: string, viewPath: string, now: number) {
  const child = spawn(process.execPath, [PROGRAM, logPath, viewPath, String(now)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const [, signal] = await once(child, 'close')
  return { output, signal }
}

test('an event whose handler kills the process is parked and dead in the end; the rest goes on', async () => {
  const { move, logPath, viewPath, view, document, clock } = ledger()
  await move('bob', 1)
  await move('ada', 666)
  await move('bob', 2)
  await move('ada', 5)

  // The first process dies in the batch, the second on the event alone; the third parks it and goes on.
  const endings = [await run(logPath, viewPath, clock.now), await run(logPath, viewPath, clock.now)]
  expect(endings.map(({ signal }) => signal)).toEqual(['SIGKILL', 'SIGKILL'])
  expect(await run(logPath, viewPath, clock.now)).toMatchObject({ output: 'at the head' })
  expect(await document('bob')).toMatchObject({ balance: 3 })
  expect((await view.sequence('ada', 9)).map(({ status, attempts }) => [status, attempts])).toEqual([
    ['retrying', 1],
    ['waiting', 0],
  ])

  // Each retry that kills the process counts as one attempt.
  for (const expected of [2, 3]) {
    clock.now += 1_000
    expect((await run(logPath, viewPath, clock.now)).signal).toBe('SIGKILL')
    expect((await run(logPath, viewPath, clock.now)).output).toBe('at the head')
    expect((await view.sequence('ada', 1))[0]).toMatchObject({ attempts: expected })
  }
  const [dead] = await view.sequence('ada', 1)
  expect(dead?.status).toBe('dead')
  expect(dead?.failures.at(-1)?.message).toMatch(/process ended/)
})
