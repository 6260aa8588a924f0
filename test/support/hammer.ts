import { request } from './inventory-client.ts'

/** An answer that comes late is not wrong. */
const TIMEOUT_MS = 30_000

/** Asks again and again, and notes every answer that is an error or older than one before. */
function hammer(url: string) {
  const wrong: string[] = []
  let [answers, before, asking] = [0, 0, true]
  const done = (async () => {
    while (asking) {
      const { status, headers, body } = await request(url, { timeoutMs: TIMEOUT_MS })
      const position = Number(headers.get('x-projection-position'))
      if (status !== 200) wrong.push(`${status} ${JSON.stringify(body)}`)
      else if (position < before) wrong.push(`${position} after ${before}`)
      before = position
      answers += 1
    }
  })()
  done.catch(() => {})
  return {
    wrong,
    async stop() {
      asking = false
      await done
      return answers
    },
  }
}

/** Hammers two views of the inventory, a document of one and a page of the other. */
export function hammerInventory(http: string) {
  const hammers = ['/inventory/stats', '/inventory?limit=3'].map((path) => hammer(http + path))
  return {
    /** @returns how many answers came from each; see `wrong` */
    stop: () => Promise.all(hammers.map((one) => one.stop())),
    get wrong(): readonly string[] {
      return hammers.flatMap(({ wrong }) => wrong)
    },
  }
}
