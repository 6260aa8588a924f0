import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { type Frame, RawWorker } from '../support/raw-worker.ts'
import { until } from '../support/until.ts'
import { engineForTest } from './start.ts'

/*
 * Workers that come, register the same few names as the others, call each other, answer late, twice or never, send
 * what does not fit, and go in the middle of it, next to a model of who owns what. Steps are taken one after the
 * other, so that the model knows who has to be called and what has to be answered.
 */

const FUNCTIONS = 5
const TRIGGERS = 8
const TOPICS = 3
const PATHS = 3
const STEPS = 150

const seed = testSeed()

interface Held {
  worker: Peer
  frame: Frame
}

interface Call {
  id: string
  token: string
  caller: Peer
  executor: Peer
}

interface Bound {
  type: string
  functionId: string
  config: Record<string, string>
  owner: Peer
}

/** A connected worker, and what it was sent. */
class Peer {
  readonly name: string
  readonly raw: RawWorker
  /** Calls that it was given and has not answered. */
  readonly held: Held[] = []
  /** What it was given: function and token. */
  readonly given: string[] = []
  #looked = 0

  constructor(name: string, raw: RawWorker) {
    this.name = name
    this.raw = raw
  }

  /** Takes what came since the last time; calls without a token are the engine's own notices. */
  take(): void {
    for (const frame of this.raw.frames.slice(this.#looked)) {
      if (frame.type !== 'invokefunction') continue
      const { token, key } = frame.data as { token?: string; key?: string }
      this.given.push(`${frame.function_id} ${token ?? key}`)
      if (frame.invocation_id) this.held.push({ worker: this, frame })
    }
    this.#looked = this.raw.frames.length
  }

  answersTo(id: string): Frame[] {
    return this.raw.frames.filter((frame) => frame.type === 'invocationresult' && frame.invocation_id === id)
  }
}

async function play(engine: Engine & { httpUrl: string }, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const pick = (below: number) => Math.floor(random() * below)
  const peers: Peer[] = []
  const owners = new Map<string, Peer>()
  const bound = new Map<string, Bound>()
  /** Path → the triggers that are bound to it, oldest first. The last one serves; when it goes, the one before it does. */
  const routes = new Map<string, Bound[]>()
  /** Calls that were not answered yet, by callers that still live. */
  let calls: Call[] = []
  let provider: Peer | undefined
  let names = 0

  const anyPeer = () => peers[pick(peers.length)] as Peer
  const anyFunction = () => `model::f${pick(FUNCTIONS)}`
  const settle = async () => {
    // Twice: the first round trip of one worker can put frames on the way to another.
    for (let round = 0; round < 2; round += 1) await Promise.all(peers.map((peer) => peer.raw.settled()))
    for (const peer of peers) peer.take()
  }
  const unbind = (id: string) => {
    const trigger = bound.get(id)
    const path = trigger?.config.api_path
    if (path !== undefined) routes.set(path, routes.get(path)?.filter((one) => one !== trigger) ?? [])
    bound.delete(id)
  }
  const connect = async () => {
    const peer = new Peer(`w${++names}`, await RawWorker.connect(engine.url))
    peers.push(peer)
    return peer
  }
  /** The model's side of a connection that ended; what its callers have to be told. */
  const left = async (peer: Peer) => {
    peers.splice(peers.indexOf(peer), 1)
    for (const [id, owner] of owners) if (owner === peer) owners.delete(id)
    for (const [id, { owner }] of bound) if (owner === peer) unbind(id)
    if (provider === peer) provider = undefined
    const stopped = calls.filter(({ executor, caller }) => executor === peer && caller !== peer)
    calls = calls.filter(({ executor, caller }) => executor !== peer && caller !== peer)
    for (const { caller, id } of stopped) {
      const answer = await caller.raw.result((frame) => frame.invocation_id === id)
      expect(answer.error).toMatchObject({ code: 'invocation_stopped' })
    }
    await until('the engine to see it go', async () => {
      if (peers.length === 0) return true
      const listed = await (peers[0] as Peer).raw.call('engine::workers::list', {})
      return !JSON.stringify(listed.result).includes(peer.raw.id)
    })
  }
  const sendInPieces = (peer: Peer, frame: object) => {
    const text = JSON.stringify(frame)
    const cut = 1 + pick(text.length - 1)
    peer.raw.ws.send(text.slice(0, cut), { fin: false })
    peer.raw.ws.send(text.slice(cut), { fin: true })
  }

  const steps: [number, () => Promise<void>][] = [
    [
      3,
      async () => {
        if (peers.length < 5) await connect()
      },
    ],
    [
      2,
      async () => {
        if (peers.length < 2) return
        const peer = anyPeer()
        const ways = [
          () => peer.raw.terminate(),
          () => peer.raw.ws.close(),
          () => peer.raw.sendText('no JSON'),
        ]
        ways[pick(ways.length)]?.()
        await left(peer)
      },
    ],
    [
      2,
      async () => {
        const old = anyPeer()
        const peer = await connect()
        peer.raw.send({
          type: 'reattach',
          previous_worker_id: old.raw.id,
          reattach_token: old.raw.reattachToken,
        })
        await left(old)
      },
    ],
    [
      1,
      async () => {
        const [peer, other] = [anyPeer(), anyPeer()]
        peer.raw.send({ type: 'reattach', previous_worker_id: other.raw.id, reattach_token: randomUUID() })
      },
    ],
    [
      8,
      async () => {
        const [peer, id] = [anyPeer(), anyFunction()]
        sendInPieces(peer, { type: 'registerfunction', id })
        owners.set(id, peer)
      },
    ],
    [
      3,
      async () => {
        const [peer, id] = [anyPeer(), anyFunction()]
        peer.raw.send({ type: 'unregisterfunction', id })
        if (owners.get(id) === peer) owners.delete(id)
      },
    ],
    [
      8,
      async () => {
        const [owner, id, functionId] = [anyPeer(), `t${pick(TRIGGERS)}`, anyFunction()]
        const [type, config] = [
          ['subscribe', { topic: `topic${pick(TOPICS)}` }],
          ['http', { api_path: `/model/p${pick(PATHS)}` }],
          ['state', { scope: `scope${pick(TOPICS)}` }],
          ['model', { some: 'thing' }],
        ][pick(4)] as [string, Record<string, string>]
        owner.raw.send({ type: 'registertrigger', id, trigger_type: type, function_id: functionId, config })
        unbind(id)
        const trigger = { type, functionId, config, owner }
        bound.set(id, trigger)
        if (config.api_path !== undefined) {
          routes.set(config.api_path, [...(routes.get(config.api_path) ?? []), trigger])
        }
      },
    ],
    [
      2,
      async () => {
        const [peer, id] = [anyPeer(), `t${pick(TRIGGERS)}`]
        peer.raw.send({ type: 'unregistertrigger', id })
        unbind(id)
      },
    ],
    [
      1,
      async () => {
        provider = anyPeer()
        provider.raw.send({ type: 'registertriggertype', id: 'model', description: '' })
      },
    ],
    [
      12,
      async () => {
        const [caller, functionId, token] = [anyPeer(), anyFunction(), randomUUID()]
        const executor = owners.get(functionId)
        const id = pick(4) === 0 && calls.length > 0 ? (calls[pick(calls.length)] as Call).id : randomUUID()
        if (calls.some((call) => call.id === id && call.caller === caller)) return
        const before = executor?.given.length ?? 0
        sendInPieces(caller, {
          type: 'invokefunction',
          invocation_id: id,
          function_id: functionId,
          data: { token },
        })
        await settle()
        if (!executor) {
          expect(caller.answersTo(id).at(-1)?.error).toMatchObject({ code: 'function_not_found' })
          return
        }
        expect(executor.given.slice(before)).toEqual([`${functionId} ${token}`])
        calls.push({ id, token, caller, executor })
      },
    ],
    [
      10,
      async () => {
        const all = peers.flatMap(({ held }) => held)
        const held = all[pick(all.length)]
        if (held) await answer(held)
      },
    ],
    [
      6,
      async () => {
        const [peer, topic, token] = [anyPeer(), `topic${pick(TOPICS)}`, randomUUID()]
        await peer.raw.call('publish', { topic, data: { token } })
        await expectGiven(token, (one) => one.type === 'subscribe' && one.config.topic === topic)
      },
    ],
    [
      4,
      async () => {
        const [peer, scope, token] = [anyPeer(), `scope${pick(TOPICS)}`, randomUUID()]
        await peer.raw.call('state::set', { scope, key: token, value: 1 })
        await expectGiven(token, (one) => one.type === 'state' && one.config.scope === scope)
      },
    ],
    [
      4,
      async () => {
        const path = `/model/p${pick(PATHS)}`
        const route = routes.get(path)?.at(-1)
        const owner = route && owners.get(route.functionId)
        const token = randomUUID()
        const before = owner?.held.length ?? 0
        const response = fetch(`${engine.httpUrl}${path}?token=${token}`)
        if (!route || !owner) {
          // 503: its route or its function was there a moment ago.
          expect([route ? 500 : 404, 503], path).toContain((await response).status)
          return
        }
        await until('the request', async () => {
          await settle()
          return owner.held.length > before
        })
        const [held] = owner.held.splice(before)
        owner.raw.send({ ...resultOf(held as Held), result: { status_code: 200, body: token } })
        expect(await (await response).text()).toContain(token)
      },
    ],
    [
      3,
      async () => {
        const peer = anyPeer()
        const bad = [
          { type: 'nonsense' },
          { type: 'invocationresult', invocation_id: 'x' },
          { type: 'registertrigger', id: 3 },
          { type: 'triggerregistrationresult', id: `t${pick(TRIGGERS)}` },
          { type: 'unregistertriggertype', id: 'subscribe' },
          { type: 'invocationresult', invocation_id: randomUUID(), result: 1 },
          // What another worker was asked is not for this one to answer.
          ...calls
            .filter(({ id }) => !peer.held.some(({ frame }) => frame.invocation_id === id))
            .map(({ id }) => ({ type: 'invocationresult', invocation_id: id, result: 'forged' })),
        ]
        peer.raw.send(bad[pick(bad.length)] as object)
      },
    ],
  ]

  async function answer({ worker, frame }: Held): Promise<void> {
    worker.held.splice(
      worker.held.findIndex((held) => held.frame === frame),
      1,
    )
    const { token } = frame.data as { token: string }
    const call = calls.find((one) => one.token === token)
    const result = { ...resultOf({ worker, frame }), result: { token } }
    worker.raw.send(result)
    if (pick(3) === 0) worker.raw.send({ ...result, result: 'again' })
    await settle()
    if (!call) return
    calls.splice(calls.indexOf(call), 1)
    expect(call.caller.answersTo(call.id).at(-1)?.result).toMatchObject({ token })
  }

  async function expectGiven(token: string, isMeant: (one: Bound) => boolean): Promise<void> {
    await settle()
    const wanted = [...bound.values()].filter(isMeant).flatMap(({ functionId }) => {
      const owner = owners.get(functionId)
      return owner ? [`${owner.name} ${functionId}`] : []
    })
    const given = peers.flatMap(({ name, given }) =>
      given.filter((one) => one.endsWith(token)).map((one) => `${name} ${one.split(' ')[0]}`),
    )
    expect(given.toSorted()).toEqual(wanted.toSorted())
  }

  const bag = steps.flatMap(([weight, act]) => Array.from({ length: weight }, () => act))
  await connect()
  for (let step = 0; step < STEPS; step += 1) {
    await bag[pick(bag.length)]?.()
    await settle()
  }
  for (const peer of [...peers]) for (const held of [...peer.held]) await answer(held)
  expect(calls).toEqual([])
  for (const peer of [...peers]) {
    peer.raw.terminate()
    await left(peer)
  }
}

function resultOf({ frame }: Held) {
  return { type: 'invocationresult', invocation_id: frame.invocation_id, function_id: frame.function_id }
}

test(`whoever comes, registers, calls and goes: calls reach the owner and are answered once (CQRS_TEST_SEED=${seed})`, async () => {
  const engine = await engineForTest()
  for (let run = 0; run < 2; run += 1) await play(engine, seed + run)
})
