import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { corkUntilTurnEnds } from '../src/turn-cork.ts'

test('what is written within one turn leaves in order and in one write, turn after turn', async () => {
  const writes: string[] = []
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      writes.push(chunk)
      done()
    },
    writev(chunks, done) {
      writes.push(chunks.map(({ chunk }) => chunk).join(' '))
      done()
    },
  })
  const hold = corkUntilTurnEnds(stream)
  const send = (text: string) => {
    hold()
    stream.write(text)
  }
  for (const text of ['one', 'two', 'three']) send(text)
  expect(writes).toEqual([])
  await turn()
  send('four')
  send('five')
  await turn()
  send('six')
  await turn()
  stream.write('seven')
  expect(writes).toEqual(['one two three', 'four five', 'six', 'seven'])
})
