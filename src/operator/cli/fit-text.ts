/** `text` in lines of at most `width` characters, broken at blanks; a word that is longer stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let rest = text
  while (rest.length > width) {
    const before = rest.lastIndexOf(' ', width)
    const at = before > 0 ? before : rest.indexOf(' ')
    if (at < 0) break
    lines.push(rest.slice(0, at).trimEnd())
    rest = rest.slice(at).trimStart()
  }
  return [...lines, rest]
}

/**
 * The prose of a help text for a terminal of `width` characters. Lines of a paragraph are put together and broken anew; what is
 * indented stays where it begins, and goes on below that or below the second of its columns.
 */
export function fitText(text: string, width: number): string {
  if (text.split('\n').every((line) => line.length <= width)) return text
  const blocks: string[] = []
  for (const line of text.split('\n')) {
    const last = blocks.at(-1) ?? ''
    if (last !== '' && line !== '' && continues(last, line))
      blocks.push(`${blocks.pop()} ${line.trimStart()}`)
    else blocks.push(line)
  }
  return blocks.flatMap((block) => hang(block, width)).join('\n')
}

/** An entry of a list that is continued is indented to its second column. */
const SECOND_COLUMN = 8

function continues(last: string, line: string): boolean {
  const [above, here] = [indentOf(last), indentOf(line)]
  return above === 0 ? here === 0 : here >= SECOND_COLUMN && here > above
}

function hang(block: string, width: number): string[] {
  const indent = indentOf(block)
  const second = indent > 0 ? (/^ +\S.*? {2,}(?=\S)/.exec(block)?.[0].length ?? indent + 2) : 0
  const start = second <= width / 2 ? second : indent
  const [first = '', ...others] = wrap(block.slice(start), width - start)
  return [block.slice(0, start) + first, ...others.map((line) => ' '.repeat(start) + line)]
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length
}
