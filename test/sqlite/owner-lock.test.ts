import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { own, tryOwn } from '../../src/sqlite/owner-lock.ts'
import { tempFolder } from '../support/temp-folder.ts'

async function ownerProcess(path: string) {
  const program = `
    import { own } from '${new URL('../../src/sqlite/owner-lock.ts', import.meta.url)}'
    await own(process.argv[1])
    process.stdout.write('owner')
    setInterval(() => {}, 1_000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

test('the lock of a living process is refused to others, with its process id', async () => {
  const path = join(tempFolder(), 'queue.lock')
  const owner = await ownerProcess(path)
  expect(tryOwn(path)).toEqual({ held: false, pid: owner.pid })
})

test('a stopped process keeps its lock; a killed one leaves it to the standby', async () => {
  const path = join(tempFolder(), 'queue.lock')
  const owner = await ownerProcess(path)
  owner.kill('SIGSTOP')
  expect(tryOwn(path)).toMatchObject({ held: false })
  let waitedFor: number | undefined
  const standby = own(path, { onWaiting: (pid) => (waitedFor = pid), pollMs: 10 })
  owner.kill('SIGKILL')
  const lock = await standby
  expect(waitedFor).toBe(owner.pid)
  expect(tryOwn(path)).toMatchObject({ held: false, pid: process.pid })
  lock.release()
})

test('a released lock is free', () => {
  const path = join(tempFolder(), 'queue.lock')
  const first = tryOwn(path)
  if (first.held) first.lock.release()
  const second = tryOwn(path)
  expect(second.held).toBe(true)
  if (second.held) second.lock.release()
})

test('a standby stops waiting when it is told to', async () => {
  const path = join(tempFolder(), 'queue.lock')
  const first = tryOwn(path)
  const abort = new AbortController()
  const standby = own(path, { signal: abort.signal, onWaiting: () => abort.abort() })
  await expect(standby).rejects.toThrow()
  if (first.held) first.lock.release()
})
