import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { EngineUnderTest } from '../../support/engines.ts'
import { RawWorker } from '../../support/raw-worker.ts'
import { failureOf, sdkWorker } from '../../support/sdk-worker.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** Lost connections, and the way back. */
export function reconnects(engine: () => EngineUnderTest): void {
  describe('reconnects', () => {
    test('a worker whose connection breaks is back with its functions, routes and trigger types', async () => {
      const proxy = await TcpProxy.to(engine().url)
      const [worker, caller] = await Promise.all([sdkWorker(proxy.url), sdkWorker(engine().url)])
      const [id, base, type] = [unique('re::f'), `/${unique('re')}`, unique('re::type')]
      const bound: string[] = []
      worker.registerFunction(id, async () => ({ body: 'here' }))
      worker.registerTrigger({ type: 'http', function_id: id, config: { api_path: base } })
      worker.registerTriggerType(
        { id: type, description: 'for a test' },
        {
          registerTrigger: async ({ function_id }) => void bound.push(function_id),
          unregisterTrigger: async () => {},
        },
      )
      caller.registerTrigger({ type, function_id: 'any::f', config: {} })
      await until('the binding', () => bound.length === 1)
      await until('the route', async () => (await fetch(`${engine().httpUrl}${base}`)).status === 200)

      proxy.breakConnections()
      await until('the calls to reach it again', async () => {
        const answer = await caller.trigger({ function_id: id, payload: {}, timeoutMs: 500 })
        return (answer as { body: string }).body === 'here'
      })
      await until(
        'the route to be back',
        async () => (await fetch(`${engine().httpUrl}${base}`)).status === 200,
      )
      await until('the binding to be back', () => bound.length === 2)
      await proxy.close()
    })

    test('reattach retires the old connection before the registrations that follow it', async () => {
      const [old, caller] = await Promise.all([RawWorker.connect(engine().url), sdkWorker(engine().url)])
      const id = unique('re::f')
      await old.offer(id, () => new Promise(() => {}))
      const stopped = failureOf(caller.trigger({ function_id: id, payload: {} }))
      await old.next('the call', (frame) => frame.function_id === id)

      const successor = await RawWorker.connect(engine().url)
      successor.send({ type: 'reattach', previous_worker_id: old.id, reattach_token: old.reattachToken })
      await successor.offer(id, () => 'successor')
      expect(await stopped).toMatchObject({ code: 'invocation_stopped' })
      await until('the old connection to be cut', () => old.closedWith !== undefined)
      expect(await caller.trigger({ function_id: id, payload: {} })).toBe('successor')
      successor.terminate()
    })

    test('reattach with a wrong token, or none, changes nothing', async () => {
      const [victim, attacker] = await Promise.all([
        RawWorker.connect(engine().url),
        RawWorker.connect(engine().url),
      ])
      const id = unique('re::f')
      await victim.offer(id, () => 'victim')
      attacker.send({
        type: 'reattach',
        previous_worker_id: victim.id,
        reattach_token: attacker.reattachToken,
      })
      attacker.send({ type: 'reattach', previous_worker_id: victim.id })
      attacker.send({ type: 'reattach', previous_worker_id: 'nobody', reattach_token: 'nothing' })
      await attacker.settled()
      expect((await attacker.call(id, {})).result).toBe('victim')
      expect(victim.closedWith).toBeUndefined()
      victim.terminate()
      attacker.terminate()
    })

    test('telemetry has a socket of its own that is taken and leaves no worker behind', async () => {
      const watcher = await RawWorker.connect(engine().url)
      const telemetry = new WebSocket(`${engine().url}/otel`)
      await new Promise((resolve, reject) => telemetry.once('open', resolve).once('error', reject))
      for (const prefix of ['OTLP', 'MTRC', 'LOGS', 'WHAT']) telemetry.send(Buffer.from(`${prefix}{}`))
      telemetry.send('text is ignored here')
      const ponged = new Promise((resolve) => telemetry.once('pong', resolve))
      telemetry.ping()
      await ponged
      expect(telemetry.readyState).toBe(WebSocket.OPEN)
      telemetry.terminate()
      watcher.ws.send(Buffer.from('OTLP{}'))
      await watcher.settled()
      expect(watcher.closedWith).toBeUndefined()
      watcher.terminate()
    })

    test('other paths are refused', async () => {
      for (const path of ['/elsewhere', '/otel/', '/ws/channels/x?key=1&dir=read']) {
        const socket = new WebSocket(`${engine().url}${path}`)
        const failure = await new Promise<Error>((resolve) => socket.once('error', resolve))
        expect(failure.message).toContain('404')
      }
    })
  })
}
