import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { EffectSender, type SendEffect } from '../../src/projection/effect-sender.ts'
import { damagedView, OtherRow } from '../../src/projection/sqlite/view-error.ts'
import { ledger, toHead } from '../support/ledger.ts'

/** A view with three recorded effects, and a sender whose `send` the test gives. */
async function threeEffects(send: SendEffect, signal = new AbortController().signal, isPaused = () => false) {
  const { view, viewPath, move, projector } = ledger()
  for (const account of ['ada', 'bob', 'cy']) await move(account, -1)
  await toHead(projector())
  const options = {
    view,
    send,
    atOnce: 1,
    maxAttempts: 3,
    maxStops: 4,
    baseMs: 1,
    capMs: 1,
    now: () => 0,
    log: pino({ level: 'silent' }),
    isPaused,
    signal,
  }
  const sender = new EffectSender(options)
  const pending = async () => (await view.pendingEffects(10)).map(({ idempotencyKey }) => idempotencyKey)
  return { view, viewPath, options, sender, pending }
}

const KEYS = ['balances:1:1', 'balances:2:1', 'balances:3:1']

test('effects are sent in order and forgotten once they are sent', async () => {
  const sent: string[] = []
  const { sender, pending } = await threeEffects(async (_, key) => {
    sent.push(key)
    return 'sent'
  })
  await sender.flush()
  expect(sent).toEqual(KEYS)
  expect(await pending()).toEqual([])
})

test('a page holds few effects if they are large, and all of them are sent', async () => {
  const { view, sender, pending } = await threeEffects(async () => 'sent')
  const { pendingEffects } = view
  const pages: [number, number | undefined][] = []
  view.pendingEffects = (limit, maxBytes) => {
    pages.push([limit, maxBytes])
    // As if each were as large as a page.
    return pendingEffects.call(view, limit, 1)
  }
  await sender.flush()
  view.pendingEffects = pendingEffects
  expect(await pending()).toEqual([])
  expect(pages).toEqual(Array.from({ length: 4 }, () => [100, 8 * 1024 * 1024]))
})

test('while nobody accepts the first effect, only that one is read, however many wait', async () => {
  let away = true
  const { view, sender, pending } = await threeEffects(async () => (away ? 'unreachable' : 'sent'))
  const { pendingEffects } = view
  const limits: number[] = []
  view.pendingEffects = (limit, maxBytes) => {
    limits.push(limit)
    return pendingEffects.call(view, limit, maxBytes)
  }
  for (let attempt = 0; attempt < 3; attempt += 1) await sender.flush()
  expect(limits).toEqual([100, 1, 1])
  away = false
  await sender.flush()
  view.pendingEffects = pendingEffects
  expect(await pending()).toEqual([])
  expect(limits).toEqual([100, 1, 1, 1, 100, 101, 100])
})

test('an effect that nobody accepts waits without limit, and so do those behind it', async () => {
  let away = true
  const sent: string[] = []
  const { sender, pending } = await threeEffects(async (_, key) => {
    if (away) return 'unreachable'
    sent.push(key)
    return 'sent'
  })
  for (let attempt = 0; attempt < 20; attempt += 1) await sender.flush()
  expect(await pending()).toEqual(KEYS)
  away = false
  await sender.flush()
  expect(sent).toEqual(KEYS)
})

test('a pause stops what was about to be sent, and not only what is recorded later', async () => {
  let paused = false
  const sent: string[] = []
  const send: SendEffect = async (_, key) => {
    sent.push(key)
    paused = true
    return 'sent'
  }
  const { sender, pending } = await threeEffects(send, undefined, () => paused)
  await sender.flush()
  expect(sent).toEqual(KEYS.slice(0, 1))
  expect(await pending()).toEqual(KEYS.slice(1))
  paused = false
  await sender.flush()
  expect(sent).toEqual(KEYS.slice(0, 2))
})

test('an effect that fails every time is dead after its attempts, and the others are sent', async () => {
  const attempts: string[] = []
  const { sender, pending } = await threeEffects(async (_, key) => {
    attempts.push(key)
    if (key === 'balances:2:1') throw new Error('no such topic')
    return 'sent'
  })
  await sender.flush()
  expect(attempts.filter((key) => key === 'balances:2:1')).toHaveLength(3)
  expect(attempts.at(-1)).toBe('balances:3:1')
  expect(await pending()).toEqual([])
})

test('an effect whose receiver ends waits for the next receiver, and is dead after too many ends', async () => {
  const stops: string[] = []
  const { view, sender, pending } = await threeEffects(async (_, key) => {
    const isPoison = key === KEYS[1]
    // The first one meets takers that end for reasons of their own.
    if (!isPoison && (key !== KEYS[0] || stops.filter((each) => each === key).length === 3)) return 'sent'
    stops.push(key)
    return 'stopped'
  })
  for (let taker = 0; taker < 3; taker += 1) {
    await sender.flush()
    expect(await pending()).toEqual(KEYS)
  }
  for (let taker = 0; taker < 3; taker += 1) {
    await sender.flush()
    expect(await pending()).toEqual(KEYS.slice(1))
  }
  await sender.flush()
  expect(await pending()).toEqual([])
  expect(await view.deadEffects(10)).toMatchObject([
    {
      idempotencyKey: KEYS[1],
      attempts: 4,
      error: expect.stringContaining('ended 4 times before it answered'),
    },
  ])
})

test('how often receivers of an effect ended is counted across restarts of the sender', async () => {
  let sent = 0
  const { view, options, pending } = await threeEffects(async (_, key) => {
    if (key === KEYS[1]) return 'stopped'
    sent += 1
    return 'sent'
  })
  for (let process = 0; process < 3; process += 1) {
    await new EffectSender(options).flush()
    expect(await pending()).toEqual(KEYS.slice(1))
  }
  await new EffectSender(options).flush()
  expect(await pending()).toEqual([])
  expect(await view.deadEffects(10)).toMatchObject([{ idempotencyKey: KEYS[1], attempts: 4 }])
  expect(sent).toBe(2)
})

test.each([
  ['the damaged view refuses to count that', true],
  ['the store fails whenever that is to be counted', false],
])('an effect whose receiver ends every time is dead after as many ends though %s', async (_, isDamaged) => {
  const tried: string[] = []
  const { view, viewPath, options, sender, pending } = await threeEffects(async (_, key) => {
    tried.push(key)
    return key === KEYS[0] ? 'stopped' : 'sent'
  })
  view.effectStopped = async (key) => {
    throw isDamaged ? damagedView(new OtherRow('effects', key), viewPath, 'balances') : new Error('disk full')
  }
  const flush = () => sender.flush().catch(() => undefined)
  for (let sweeps = 0; sweeps < options.maxStops; sweeps += 1) await flush()
  expect(tried).toEqual([...Array.from({ length: 4 }, () => KEYS[0]), ...KEYS.slice(1)])
  expect(await pending()).toEqual([])
  const dead = await view.deadEffects(10)
  expect(dead).toMatchObject([{ idempotencyKey: KEYS[0], attempts: 4 }])
  // Redriven, it has all its tries again.
  await view.redriveEffects()
  await flush()
  expect(await pending()).toEqual(KEYS.slice(0, 1))
})

test('a dead effect that could not be listed as dead is listed with the next flush, and not sent again', async () => {
  let tried = 0
  const { view, sender } = await threeEffects(async (_, key) => {
    if (key !== KEYS[0]) return 'sent'
    tried += 1
    throw new Error('no')
  })
  const { effectFailed } = view
  view.effectFailed = () => Promise.reject(new Error('the disk is full'))
  await expect(sender.flush()).rejects.toThrow('full')
  view.effectFailed = effectFailed
  await sender.flush()
  expect(await view.deadEffects(10)).toMatchObject([{ idempotencyKey: KEYS[0], attempts: 3, error: 'no' }])
  expect(tried).toBe(3)
})

test('an effect that was sent but could not be forgotten is sent again, not given up', async () => {
  const { view, sender, pending } = await threeEffects(async () => 'sent')
  const { effectsSent } = view
  view.effectsSent = () => Promise.reject(new Error('the store is locked'))
  await expect(sender.flush()).rejects.toThrow('locked')
  view.effectsSent = effectsSent
  expect(await pending()).toEqual(KEYS)
  await sender.flush()
  expect(await pending()).toEqual([])
})

test('an effect that is under way when everything stops is forgotten once it is sent, and no other begins', async () => {
  const stopping = new AbortController()
  const sent: string[] = []
  const { sender, pending } = await threeEffects(async (_, key) => {
    sent.push(key)
    stopping.abort()
    return 'sent'
  }, stopping.signal)
  void sender.flush()
  await sender.idle()
  expect(sent).toEqual(KEYS.slice(0, 1))
  expect(await pending()).toEqual(KEYS.slice(1))
})

test('an effect whose bytes changed on the disk is not sent, not even by a redrive, and the others are', async () => {
  const sent: string[] = []
  const { view, viewPath, sender, pending } = await threeEffects(async (_, key) => {
    sent.push(key)
    return 'sent'
  })
  const vandal = new DatabaseSync(viewPath)
  vandal.exec(`UPDATE effects SET effect = replace(effect, 'bob', 'bot') WHERE id = 2`)
  vandal.close()
  await sender.flush()
  expect([sent, await pending()]).toEqual([[KEYS[0], KEYS[2]], []])
  for (let redrive = 0; redrive < 2; redrive += 1) {
    expect(await view.deadEffects(10)).toMatchObject([
      { idempotencyKey: KEYS[1], attempts: 0, error: expect.stringContaining('not what was recorded') },
    ])
    expect(await view.redriveEffects()).toMatchObject({ redriven: 1 })
    await sender.flush()
  }
  expect(sent).toHaveLength(2)
})

test('an effect that is damaged while nobody accepts it, and cannot even be set aside, does not hold up the others', async () => {
  let away = true
  const sent: string[] = []
  const { view, viewPath, sender } = await threeEffects(async (_, key) => {
    if (away) return 'unreachable'
    sent.push(key)
    return 'sent'
  })
  await sender.flush()
  const vandal = new DatabaseSync(viewPath)
  vandal.exec(`UPDATE effects SET effect = replace(effect, 'ada', 'adb') WHERE id = 1`)
  vandal.close()
  // As in a damaged page, where SQLite does not find what it lists.
  view.effectFailed = async () => {}
  away = false
  await sender.flush()
  await sender.flush()
  expect(sent).toEqual(KEYS.slice(1))
})

test('an effect that was accepted but cannot be removed is not sent again and again', async () => {
  const sent: string[] = []
  const { view, sender, pending } = await threeEffects(async (_, key) => {
    sent.push(key)
    return 'sent'
  })
  const { effectsSent } = view
  // As in a damaged page, where SQLite does not find what it lists.
  view.effectsSent = async (keys) => effectsSent.call(view, keys.slice(0, keys[0] === KEYS[1] ? 0 : 1))
  for (let sweeps = 0; sweeps < 3; sweeps += 1) await sender.flush()
  expect(sent).toEqual(KEYS)
  view.effectsSent = effectsSent
  await sender.flush()
  expect({ sent, pending: await pending() }).toEqual({ sent: KEYS, pending: [] })
})

test('an effect that was taken does not hold up those behind it because the damaged view refuses to forget it', async () => {
  const sent: string[] = []
  const { view, viewPath, sender, pending } = await threeEffects(async (_, key) => {
    sent.push(key)
    return 'sent'
  })
  const { effectsSent } = view
  view.effectsSent = async (keys) => {
    if (keys[0] === KEYS[0])
      throw damagedView(new OtherRow('effects', KEYS[0] as string), viewPath, 'balances')
    return effectsSent.call(view, keys)
  }
  for (let sweeps = 0; sweeps < 3; sweeps += 1) await sender.flush()
  expect({ sent, pending: await pending() }).toEqual({ sent: KEYS, pending: KEYS.slice(0, 1) })
})

test('an effect that was accepted but cannot be removed does not hold up those behind it, even after an outage', async () => {
  let away = true
  const sent: string[] = []
  const { view, sender } = await threeEffects(async (_, key) => {
    if (away && key !== KEYS[0]) return 'unreachable'
    sent.push(key)
    return 'sent'
  })
  const { effectsSent } = view
  // As in a damaged page, where SQLite does not find what it lists.
  view.effectsSent = async (keys) => effectsSent.call(view, keys.slice(0, keys[0] === KEYS[0] ? 0 : 1))
  for (let sweeps = 0; sweeps < 3; sweeps += 1) await sender.flush()
  away = false
  await sender.flush()
  expect(sent).toEqual(KEYS)
})

test('a dead effect keeps only the beginning of a very long error', async () => {
  const { sender, view } = await threeEffects(async () => {
    throw new Error(`refused: ${'x'.repeat(100_000)}`)
  })
  await sender.flush()
  const dead = await view.deadEffects(10)
  expect(dead.map(({ error }) => [error?.length, error?.slice(0, 9)])).toEqual(
    KEYS.map(() => [4_000, 'refused: ']),
  )
})

test.each([
  ['is damaged', true],
  ['failed for good', false],
])(
  'an effect that %s does not hold up those behind it because the damaged view refuses to list it as dead',
  async (_, isDamaged) => {
    const sent: string[] = []
    const tried: string[] = []
    const { view, viewPath, sender } = await threeEffects(async (_, key) => {
      tried.push(key)
      if (key === KEYS[0]) throw new Error('no')
      sent.push(key)
      return 'sent'
    })
    if (isDamaged) {
      const vandal = new DatabaseSync(viewPath)
      vandal.exec(`UPDATE effects SET effect = replace(effect, 'ada', 'adb') WHERE id = 1`)
      vandal.close()
    }
    view.effectFailed = async (key) => {
      throw damagedView(new OtherRow('effects', key), viewPath, 'balances')
    }
    await sender.flush()
    expect(sent).toEqual(KEYS.slice(1))
    const times = tried.length
    for (let sweeps = 0; sweeps < 3; sweeps += 1) await sender.flush()
    expect(tried, 'it is not tried with every sweep').toHaveLength(times)
  },
)
