import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')

/** Pages whose every piece of TypeScript is taken from a file that a test runs. */
const QUOTING = [
  'README.md',
  'docs/effects.md',
  'docs/evolve.md',
  'docs/flow.md',
  'docs/guarantees.md',
  'docs/sagas.md',
  'docs/write-your-own.md',
]

const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)]
  .filter((path) => path.endsWith('.md'))
  .map((path) => ({ path, text: read(path) }))

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

test.each(pages)('every file of src and test that $path names exists', ({ text }) => {
  const named = [...text.matchAll(/\b(?:src|test)\/[\w./-]*\w\.(?:ts|js)\b/g)].map(([file]) => file)
  expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
})

test.each(pages)('every page of this project that $path links to exists', ({ path, text }) => {
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => String(link))
  expect(links.filter((link) => !existsSync(join(ROOT, dirname(path), link)))).toEqual([])
})

/** The headings of a page as GitHub names them in links. */
function anchorsOf(path: string): Set<string> {
  const headings = read(path)
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

test.each(pages)('every heading that $path links to exists', ({ path, text }) => {
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)].map(([, page, anchor]) => ({
    page: page ? join(dirname(path), page) : path,
    anchor: String(anchor),
  }))
  expect(links.filter(({ page, anchor }) => !anchorsOf(page).has(anchor))).toEqual([])
})

test.each(pages)('every block that $path takes from a file stands there, letter by letter', ({ text }) => {
  const blocks = [...text.matchAll(/^<!-- from (\S+) -->\n```\w+\n([\s\S]*?)\n```$/gm)]
  expect(blocks.length).toBe(text.split('<!-- from ').length - 1)
  for (const [, file, block] of blocks) expect(read(String(file))).toContain(block)
})

test('the pieces of the guide are the whole of its app', () => {
  const pieces = [...read('docs/write-your-own.md').matchAll(/^```ts\n([\s\S]*?)\n```$/gm)].map(
    ([, piece]) => piece,
  )
  const guide = new Set(pieces.join('\n').split('\n'))
  const lines = read('test/docs/example-app.ts').split('\n')
  expect(lines.filter((line) => !/^\s*(?:\/?\*|\/\/|$)/.test(line) && !guide.has(line))).toEqual([])
})

test.each(QUOTING)('all TypeScript in %s is taken from a file', (path) => {
  const text = read(path)
  const all = text.match(/^```ts$/gm)?.length ?? 0
  const taken = text.match(/^<!-- from \S+ -->\n```ts$/gm)?.length ?? 0
  expect(taken).toBe(all)
})

test('every guarantee names the tests that try to break it', () => {
  const [, ...sections] = read('docs/guarantees.md').split(/^## /m)
  const promises = sections.filter((section) => /^\*/m.test(section) && section.includes('**How.**'))
  expect(promises.length).toBeGreaterThan(8)
  for (const section of promises) expect(section).toMatch(/\*\*Tests\.\*\*[\s\S]*`test\/\S+\.ts`/)
})

test('the table of the guarantees has every promise, each with how it is kept and a test that exists', () => {
  const page = read('docs/guarantees.md')
  const rows = [...page.matchAll(/^\| \[([^\]]+)\]\(#([a-z-]+)\) \| (.+) \| (.+) \|$/gm)]
  const promises = [...page.matchAll(/^## (.+)\n\n\*/gm)].map(([, title]) => title)
  expect(rows.map(([, title]) => title)).toEqual(promises)
  for (const [, title, anchor, how, tests] of rows) {
    expect(anchor, title).toBe(
      title
        ?.toLowerCase()
        .replaceAll(/[^a-z ]/g, '')
        .replaceAll(' ', '-'),
    )
    expect(how?.length, title).toBeGreaterThan(20)
    const named = [...String(tests).matchAll(/`(test\/\S+\.ts)`/g)].map(([, file]) => String(file))
    expect(named.length, title).toBeGreaterThan(1)
    expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  }
})
