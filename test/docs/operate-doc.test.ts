import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { createProgram } from '../../src/operator/cli/program.ts'

const text = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8')

/** Every command line of the program in the runbooks, without what stands before and after it. */
const lines = [...text.matchAll(/npx cqrs ([^`|\n]+)/g)].map(([, line = '']) =>
  (line.split(/ {2,}|[;.] |\)|$/)[0] ?? '').trim().replace(/[.;,]$/, ''),
)

test.each([...new Set(lines)])('cqrs %s is a command line of the program', (line) => {
  const words = line.match(/"[^"]*"|\S+/g) ?? []
  let command: Command = createProgram({} as never)
  for (const word of words) {
    if (word.startsWith('-')) break
    const inner = command.commands.find((each) => each.name() === word)
    if (!inner) break
    command = inner
  }
  expect(command.commands, `"${line}" leads to a command that does something`).toEqual([])
  const known = command.options.flatMap(({ long, short }) => [long, short])
  expect(words.filter((word) => word.startsWith('--') && !known.includes(word))).toEqual([])
})

test('the runbooks are there', () => {
  expect(lines.length).toBeGreaterThan(20)
})

test('whoever is in trouble finds the way to every runbook before anything else', () => {
  const anchors = [...text.matchAll(/^## (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
  const [first, ...others] = anchors
  expect(first).toBe('what-is-wrong')
  const linked = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor)
  expect(linked.filter((anchor) => !anchors.includes(anchor ?? ''))).toEqual([])
  // These tell how things are, not what to do when they are wrong.
  const told = ['stopping', 'looking', 'traces']
  expect(others.filter((anchor) => !linked.includes(anchor))).toEqual(told)
})
