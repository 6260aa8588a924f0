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
    'being built to look at: folding, 4,000 of 12,000, 2,000 events/s',
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
