import { setTimeout as delay } from 'node:timers/promises'
import { dataPaths } from '../../src/config/paths.ts'
import { isOwned } from '../../src/sqlite/owner-lock.ts'
import { inFolder } from './lab/folder.ts'
import { HttpClient } from './lab/http-client.ts'
import { saturation, startHttpLoad } from './lab/load.ts'
import { spreadOf } from './lab/spread.ts'
import { type BenchSystem, ROLES, type Role, startSystem, waitFor } from './lab/system.ts'
import { defineScenario, type Row } from './scenario.ts'

export const recovery = defineScenario({
  name: 'recovery',
  title:
    'from the SIGKILL of one process under half load until a new command is answered and both views show it to a query',
  durable: 'the events of each answered command: fsync before the answer',
  options: {
    rate: { help: 'commands per second; 0: half of what the system takes', default: 0, tiny: 20 },
    seconds: { help: 'to find out what the system takes', default: 4, tiny: 0.3 },
  },
  async run({ options, rounds, folder, say }) {
    return inFolder(folder, async (at) => {
      const system = await startSystem({ data: `${at}/data` })
      const client = new HttpClient(system.http)
      try {
        const rate = options.rate || Math.floor((await saturation(system, options.seconds)) / 2)
        const load = startHttpLoad(system.http, { pace: { open: rate }, seconds: 3_600 })
        await load.ready
        const probe = await Probe.start(client)
        const times = new Map(
          ROLES.map((role) => [role, { answered: [] as number[], visible: [] as number[] }]),
        )
        // In turns: who is killed again before it was stable waits longer before it starts, which is not what is asked.
        for (let round = 0; round < rounds; round += 1) {
          for (const [role, { answered, visible }] of times) {
            say(`${role} at ${rate} per second, round ${round + 1}`)
            const after = await killAndWait(system, role, probe)
            answered.push(after.answered)
            visible.push(after.visible)
            await delay(BETWEEN_KILLS_MS)
          }
        }
        const rows: Row[] = [...times].map(([role, { answered, visible }]) => ({
          of: { killed: role, 'commands/s': rate },
          is: { 'answered after s': spreadOf(answered), 'no lag after s': spreadOf(visible) },
        }))
        const { statuses } = await load.stop()
        say(`answers of the load meanwhile: ${JSON.stringify(statuses)}`)
        return rows
      } finally {
        client.close()
        await system.stop()
      }
    })
  },
})

/** With five roles in turn: no role is killed again before it was up for `supervisor.stableMs`. */
const BETWEEN_KILLS_MS = 2_000

async function killAndWait(system: BenchSystem, role: Role, probe: Probe) {
  await waitFor(`the ${role} process runs`, () => system.pidOf(role) !== undefined)
  const pid = system.pidOf(role) as number
  const began = performance.now()
  const since = () => (performance.now() - began) / 1_000
  process.kill(pid, 'SIGKILL')
  // The dead process may still be on its way out; a probe that is answered before is none of the new one.
  await waitFor(`another ${role} process runs`, () => ![undefined, pid].includes(system.pidOf(role)))
  if (role === 'queue') {
    const lock = dataPaths(system.data).queue.replace(/\.db$/, '.lock')
    await waitFor('somebody owns the queue', () => isOwned(lock))
  }
  const position = await probe.command()
  const answered = since()
  await probe.seen(position)
  return { answered, visible: since() }
}

/** One item of its own, on which commands are sent and then read back. */
class Probe {
  readonly #client: HttpClient
  #sent = 0

  private constructor(client: HttpClient) {
    this.#client = client
  }

  static async start(client: HttpClient): Promise<Probe> {
    const body = JSON.stringify({ sku: 'probe', name: 'Probe', priceCents: 1, quantity: 1 })
    await client.request('POST', '/inventory', { body })
    return new Probe(client)
  }

  /** A command, sent again until it is answered with success. */
  async command(): Promise<number> {
    const headers = `Idempotency-Key: probe-${this.#sent++}\r\n`
    let position = 0
    await waitFor('a command is answered', async () => {
      const answer = await this.#try('POST', '/inventory/probe/restock', { body: '{"quantity":1}', headers })
      if (answer?.status === 200) position = JSON.parse(answer.body).position
      return position > 0
    })
    return position
  }

  /** Until both views answer a query that has to see the position. */
  async seen(position: number): Promise<void> {
    for (const path of ['/inventory/probe', '/inventory/stats']) {
      await waitFor(`${path} shows it`, async () => {
        const answer = await this.#try('GET', `${path}?after=${position}`, {})
        return answer?.status === 200
      })
    }
  }

  async #try(...request: Parameters<HttpClient['request']>) {
    const late = delay(1_000).then(() => undefined)
    return Promise.race([this.#client.request(...request).catch(() => undefined), late])
  }
}
