import { expect, test } from 'vitest'
import app from '../../../src/inventory/app.ts'
import { discardLetters, redriveLetters } from '../../../src/operator/letters/letters-bulk.ts'
import type { System } from '../../../src/operator/system.ts'
import { callError } from '../../support/operated-queue.ts'

const ASKED_AT = Date.parse('2026-01-02T00:00:00.000Z')

/**
 * A queue provider that is not ours: its letters have no seq, so a list of them begins at an offset. Of its letters,
 * those of `jobs`, every third has another error. A redriven one leaves; if it `failsAgain`, it comes back at the end.
 */
function foreignQueue(count: number, { stepMs = 0, failsAgain = false } = {}) {
  const letters = Array.from({ length: count }, (_, n) => ({
    id: `m-${n}`,
    payload: { n },
    error: n % 3 === 0 ? 'no price' : 'no such shelf',
    failed_at: 1,
    retries: 3,
  }))
  const settled: string[] = []
  let elapsed = 0
  const settle = ({ message_id: id }: { message_id: string }) => {
    const [letter] = letters.splice(letters.findIndex((each) => each.id === id) >>> 0, 1)
    if (!letter) return { redriven: 0 }
    settled.push(id)
    elapsed += stepMs
    if (failsAgain) letters.push({ ...letter, failed_at: ASKED_AT / 1_000 + 1 })
    return { redriven: 1 }
  }
  const functions: Record<string, (input: never) => unknown> = {
    'engine::queue::dlq_topics': () => [
      { topic: 'jobs', message_count: letters.length },
      { topic: 'mails', message_count: 0 },
    ],
    'engine::queue::dlq_messages': ({ offset, limit }: { offset: number; limit: number }) =>
      letters.slice(offset, offset + limit),
    'iii::queue::redrive_message': settle,
    'iii::queue::discard_message': settle,
  }
  const call: System['call'] = async (id, input) => {
    const found = functions[id]
    if (!found) throw callError('function_not_found')
    return found(input as never)
  }
  const clocks = { now: () => new Date(ASKED_AT), monotonic: () => elapsed }
  return { system: { app, call, ask: call, ...clocks } as System, letters, settled }
}

test.each([
  ['redriven', { error: 'shelf' }, {}],
  ['redriven', { error: 'shelf' }, { failsAgain: true }],
  ['redriven, a few at a time', { error: 'shelf' }, { stepMs: 500 }],
  ['discarded', { error: 'shelf', reason: 'a test' }, {}],
] as const)(
  'at a provider whose lists begin at an offset, all that match are %s, each once',
  async (how, which, options) => {
    const { system, letters, settled } = foreignQueue(2_000, options)
    const wanted = letters.filter(({ error }) => error === 'no such shelf').map(({ id }) => id)
    const ask = (more: object) =>
      how === 'discarded'
        ? discardLetters(system, { source: 'queue', ...which, ...more }, { by: 'ada', from: 'cli' })
        : redriveLetters(system, { source: 'queue', ...which, ...more })
    let { next, asOf } = await ask({})
    while (next) next = (await ask({ after: next, asOf })).next
    expect(settled).toEqual(wanted)
  },
)
