import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, createReadStream, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'

const LOGGER = new URL('../../src/config/logger.ts', import.meta.url)

/** More than a pipe holds and is kept for its reader besides. */
const LINES = 20_000

/** A program whose standard error is a pipe that nobody reads yet. */
function unread(program: string) {
  const path = join(tempFolder(), 'stderr')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stderr = openSync(path, constants.O_WRONLY)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', stderr],
  })
  closeSync(stderr)
  onTestFinished(() => void child.kill('SIGKILL'))
  const { stdin, stdout } = child as unknown as { stdin: Writable; stdout: Readable }
  return {
    stdin,
    stdout,
    /** Reads it until its end. */
    lines() {
      const blocking = openSync(path, constants.O_RDONLY)
      closeSync(reader)
      return createInterface(createReadStream('', { fd: blocking }))
    },
  }
}

test.each(['json', 'pretty'])(
  'a process whose log nobody reads goes on, and says how much of it is missing (%s)',
  async (format) => {
    const { stdin, stdout, lines } = unread(`
    import { createLogger } from '${LOGGER}'
    const log = createLogger({ log: { level: 'info', format: '${format}' } }, 'queue')
    for (let line = 0; line < ${LINES}; line += 1) log.info('line ' + line + ' ' + 'x'.repeat(100))
    process.stdout.write('done')
    process.stdin.resume()`)
    const [said] = await once(stdout, 'data')
    expect(String(said)).toBe('done')
    const read: string[] = []
    for await (const line of lines()) {
      read.push(line)
      if (line.includes('were dropped')) stdin.end()
    }
    const [, missing] = /(\d+) lines of the log were dropped/.exec(read.at(-1) ?? '') ?? []
    expect(Number(missing)).toBeGreaterThan(0)
    expect(read).toHaveLength(LINES - Number(missing) + 1)
    const numbers = read.slice(0, -1).map((line) => Number(/line (\d+) x/.exec(line)?.[1]))
    expect(numbers).toEqual(numbers.map((_, index) => index))
  },
)

test('a process that ends leaves a reader who is there the time to read all of it', () => {
  const program = `
    import { createLogger } from '${LOGGER}'
    const log = createLogger({ log: { level: 'info', format: 'json' } }, 'queue')
    log.error('x'.repeat(6_000_000))
    process.exit()`
  // Like a terminal, it takes little at a time.
  const reader =
    "let read = ''; process.stdin.on('data', (some) => (read += some)).on('end', () => console.log(read.length, read.at(-1) === '\\n'))"
  const shell = `"$0" --input-type=module --eval "$1" 2>&1 | "$0" --eval "$2"`
  const said = execFileSync('sh', ['-c', shell, process.execPath, program, reader], { encoding: 'utf8' })
  expect(said).toMatch(/^60\d{5} true\n$/)
})
