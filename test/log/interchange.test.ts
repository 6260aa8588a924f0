import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { EventFileWriter, readEventFile } from '../../src/log/interchange.ts'

const event = (position: number, data: unknown = { n: position }): RecordedEvent => ({
  position,
  id: `0190-${position}`,
  stream: 's',
  version: position,
  type: 'counted',
  schemaVersion: 1,
  data,
  metadata: { commandId: 'c', correlationId: 'k' },
  recordedAt: '2026-01-02T03:04:05.678Z',
})

/** Texts with everything that ends a line somewhere, and characters of several bytes. */
const nasty = [{ text: 'a\u2028b\u2029c\r\nd\n\u0085\u{1f600}é"\\' }, null, 'x', [1e21, -0, 0.1], {}]
const events = nasty.map((data, index) => event(index + 1, data))

function fileOf(all: readonly RecordedEvent[], from = 1): Buffer {
  const file = new EventFileWriter()
  const to = from + all.length - 1
  const pieces = [
    file.begin({ app: 'counter', from, to }),
    file.events(all.slice(0, 2)),
    file.events(all.slice(2)),
    file.end(),
  ]
  return Buffer.from(pieces.join(''))
}

/** The events of a file that is read in pieces of `size` bytes. @throws what is wrong with it */
async function read(file: Buffer, size = file.length): Promise<RecordedEvent[]> {
  const found: RecordedEvent[] = []
  async function* pieces() {
    for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size)
  }
  for await (const line of readEventFile(pieces())) if ('event' in line) found.push(line.event)
  return found
}

const invalid = { code: 'CQRS_IMPORT_INVALID' }

test('what was written is read again, whatever it holds and however it is cut into pieces', async () => {
  const file = fileOf(events)
  for (const size of [1, 2, 3, 7, 64, 1_000, file.length]) {
    expect(await read(file, size)).toEqual(JSON.parse(JSON.stringify(events)))
  }
  expect(await read(fileOf([], 5))).toEqual([])
})

test('a file in which any single byte differs is refused', async () => {
  const file = fileOf(events)
  for (let at = 0; at < file.length; at += 1) {
    for (const bit of [0x01, 0x20]) {
      const changed = Buffer.from(file)
      changed[at] = (changed[at] ?? 0) ^ bit
      await expect(read(changed), `byte ${at} ^ ${bit}`).rejects.toMatchObject(invalid)
    }
  }
})

test('a file that is cut short anywhere is refused', async () => {
  const file = fileOf(events)
  // Without its last line feed it is still whole.
  for (let length = 0; length < file.length - 1; length += 1) {
    await expect(read(file.subarray(0, length)), `${length} bytes`).rejects.toMatchObject(invalid)
  }
})

test.each([
  ['a gap', (lines: string[]) => lines.toSpliced(2, 1), 'instead of 2'],
  [
    'a wrong order',
    ([head, one, two, ...rest]: string[]) => [head, two, one, ...rest] as string[],
    'instead of 1',
  ],
  ['a repetition', (lines: string[]) => lines.toSpliced(2, 0, lines[1] ?? ''), 'instead of 2'],
  ['something after its closing line', (lines: string[]) => [...lines, '{}'], 'after the closing line'],
  [
    'another version',
    ([head = '', ...rest]: string[]) => [head.replace('"version":1', '"version":2'), ...rest],
    'has format version 2',
  ],
  ['no header', (lines: string[]) => lines.slice(1), 'is not the header of a file of events'],
])('a file with %s is refused, although its checksum is right', async (_, change, says) => {
  const lines = change(fileOf(events).toString().trimEnd().split('\n').slice(0, -1))
  const body = `${lines.join('\n')}\n`
  const sha256 = createHash('sha256').update(body).digest('hex')
  const ending =
    says === 'after the closing line'
      ? [fileOf(events).toString(), '{}\n']
      : [body, `${JSON.stringify({ count: events.length, sha256 })}\n`]
  await expect(read(Buffer.from(ending.join('')))).rejects.toThrow(says)
})
