import pino, { type Logger } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { SnapshotStore, StoredSnapshot } from '../../src/command/snapshots.ts'
import { until } from '../support/until.ts'

/** Opens the same store each time, also while it is open, as another process does. */
export type OpenSnapshots = (log: Logger) => Promise<SnapshotStore>

const snapshot = (stream: string, version = 1, more: Partial<StoredSnapshot> = {}): StoredSnapshot => ({
  stream,
  fingerprint: 'f'.repeat(64),
  version,
  position: 10 * version,
  eventId: `01890000-0000-7000-8000-${String(version).padStart(12, '0')}`,
  state: `{"total":${version}}`,
  ...more,
})

/** What every store of snapshots promises. */
export function snapshotStoreContract(newStore: () => OpenSnapshots): void {
  function driver() {
    const open = newStore()
    const warnings: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) })
    return {
      warnings,
      async open() {
        const store = await open(log)
        onTestFinished(() => store.close())
        return store
      },
    }
  }
  const kept = (store: SnapshotStore, { stream, version }: StoredSnapshot) =>
    until(`version ${version} of ${stream} is kept`, async () => {
      return (await store.find(stream))?.version === version
    })

  test('a snapshot comes back as it was saved, field by field', async () => {
    const { open, warnings } = driver()
    const store = await open()
    const state = JSON.stringify({ text: 'Ω – 雪 \u0000 "quoted"', nested: [{ deep: null }], much: 1.5 })
    const odd = snapshot('cart-é\u{1F600}', 700_000, { position: Number.MAX_SAFE_INTEGER, state })
    store.save(odd)
    await kept(store, odd)
    expect(await store.find(odd.stream)).toEqual(odd)
    expect(warnings).toEqual([])
  })

  test('a newer snapshot takes the place of the older one of its stream, and of no other', async () => {
    const store = await driver().open()
    const other = snapshot('other', 3)
    for (const one of [snapshot('s', 1), other, snapshot('s', 2, { fingerprint: 'e'.repeat(64) })]) {
      store.save(one)
      await kept(store, one)
    }
    expect(await store.find('s')).toEqual(snapshot('s', 2, { fingerprint: 'e'.repeat(64) }))
    expect(await store.find('other')).toEqual(other)
    expect(await store.find('none')).toBeUndefined()
  })

  test('what one process keeps another one finds, also after the first has closed it', async () => {
    const { open } = driver()
    const [one, other] = [await open(), await open()]
    one.save(snapshot('s', 1))
    await kept(other, snapshot('s', 1))
    other.save(snapshot('s', 2))
    await kept(one, snapshot('s', 2))
    await one.close()
    await other.close()
    expect(await (await open()).find('s')).toEqual(snapshot('s', 2))
  })

  test('what was made by one fold is forgotten as a whole, and nothing else', async () => {
    const store = await driver().open()
    const other = snapshot('c', 1, { fingerprint: 'e'.repeat(64) })
    for (const one of [snapshot('a'), snapshot('b'), other]) {
      store.save(one)
      await kept(store, one)
    }
    store.forget('f'.repeat(64))
    await until('they are gone', async () => !(await store.find('a')) && !(await store.find('b')))
    expect(await store.find('c')).toEqual(other)
  })

  test('after closing it has nothing, keeps nothing, and nothing fails', async () => {
    const { open, warnings } = driver()
    const store = await open()
    store.save(snapshot('s', 1))
    await kept(store, snapshot('s', 1))
    await store.close()
    store.save(snapshot('s', 2))
    expect(await store.find('s')).toBeUndefined()
    expect(await (await open()).find('s')).toEqual(snapshot('s', 1))
    expect(warnings).toEqual([])
  })
}
