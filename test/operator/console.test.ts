import { expect, test } from 'vitest'

const ELEMENTS = new URL('../../src/operator/console/elements.js', import.meta.url).href

const folding = {
  ...{ generation: 2, purpose: 'serve', phase: 'folding', position: 4_000, target: 12_000 },
  ...{ eventsPerSecond: 1_999.6, secondsLeft: 4, error: null },
}

test.each([
  [{}, 'being rebuilt: folding, 4,000 of 12,000, 2,000 events/s, 4 s left'],
  [{ purpose: 'verify' }, 'being verified: folding, 4,000 of 12,000, 2,000 events/s, 4 s left'],
  [
    { purpose: 'inspect', secondsLeft: null },
    'being built for inspection: folding, 4,000 of 12,000, 2,000 events/s',
  ],
  [
    { phase: 'waiting', position: 0, target: 0, eventsPerSecond: 0, secondsLeft: null },
    'being rebuilt: waiting',
  ],
  [{ error: 'the disk is full' }, 'being rebuilt: the disk is full'],
])('the console tells what a build does, how far it is and how fast: %o', async (change, text) => {
  const { progressOf } = await import(ELEMENTS)
  expect(progressOf({ ...folding, ...change })).toBe(text)
})

test.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_024, '1.0 KiB'],
  [1_536, '1.5 KiB'],
  [5 * 1_048_576, '5.0 MiB'],
  [2_048 ** 4, '16.0 TiB'],
])('%i bytes on the disk are shown as %s', async (value, text) => {
  const { bytes } = await import(ELEMENTS)
  expect(bytes(value)).toBe(text)
})
