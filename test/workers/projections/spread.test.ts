import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isOwned, tryOwn } from '../../../src/sqlite/owner-lock.ts'
import { spread } from '../../../src/workers/projections/spread.ts'
import { tempFolder } from '../../support/temp-folder.ts'
import { until } from '../../support/until.ts'

/** Members of one system; each notes what it works on, and nobody may work on what another one has. */
function members(units: readonly string[]) {
  const folder = tempFolder()
  const owners = new Map<string, string>()
  const fights: string[] = []
  const enter = (name: string, begin: (unit: string) => Promise<void> = async () => {}) => {
    const leaving = new AbortController()
    const working = new Set<string>()
    const log: string[] = []
    const share = spread({
      units,
      async own(unit) {
        const path = join(folder, `${unit}.lock`)
        const outcome = isOwned(path) ? undefined : tryOwn(path)
        return outcome?.held ? outcome.lock : undefined
      },
      seatLock: (seat) => join(folder, `seat-${seat}.lock`),
      intervalMs: 10,
      signal: leaving.signal,
      async begin(unit) {
        if (owners.has(unit)) fights.push(`${name} took ${unit} from ${owners.get(unit)}`)
        await begin(unit)
        owners.set(unit, name)
        working.add(unit)
        return {
          async stop() {
            working.delete(unit)
            owners.delete(unit)
          },
        }
      },
      onStandby: () => log.push('stands by'),
      onChange: (now) => log.push(now.join(' ')),
    })
    const leave = async () => {
      leaving.abort()
      await share.stop()
    }
    onTestFinished(leave)
    return { share, working, log, leave }
  }
  return { member: enter, owners, fights }
}

test('units are shared evenly, again and again as members come and go, and never worked on by two', async () => {
  const { member, owners, fights } = members(['a', 'b', 'c', 'd', 'e'])
  const one = member('one')
  await one.share.settled
  expect([...one.working]).toEqual(['a', 'b', 'c', 'd', 'e'])

  const two = member('two')
  const three = member('three')
  const sizes = () => [one, two, three].map(({ working }) => working.size).sort()
  await until('all three work', () => sizes().join() === '1,2,2')
  expect(owners.size).toBe(5)

  await one.leave()
  await until('two share the work', () => two.working.size + three.working.size === 5)
  expect(Math.abs(two.working.size - three.working.size)).toBe(1)
  await three.leave()
  await until('one does it all', () => two.working.size === 5)
  expect(fights).toEqual([])
})

test('who joins changes nothing but what has to change', async () => {
  const { member } = members(['a', 'b', 'c', 'd'])
  const one = member('one')
  await one.share.settled
  const two = member('two')
  await until('two has its part', () => two.working.size === 2)
  expect(one.log).toEqual(['a b c d', 'a b'])
  expect(two.log.at(-1)).toBe('c d')
})

test('more members than units stand by, and one of them takes the place of who leaves', async () => {
  const { member } = members(['a', 'b'])
  const [one, two] = [member('one'), member('two')]
  await until('both work', () => one.working.size === 1 && two.working.size === 1)
  const three = member('three')
  await three.share.settled
  expect(three.log).toEqual(['stands by'])
  await one.leave()
  await until('the third works', () => three.working.size === 1)
})

test('a unit that cannot be begun is free again, and the member says why', async () => {
  const { member } = members(['a'])
  const broken = member('broken', async () => Promise.reject(new Error('no view')))
  await expect(broken.share.settled).rejects.toThrow('no view')
  await expect(broken.share.done).rejects.toThrow('no view')
  await broken.leave()
  const next = member('next')
  await next.share.settled
  expect([...next.working]).toEqual(['a'])
})
