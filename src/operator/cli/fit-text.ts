/** Breaks `text` at blanks into lines of at most `width` characters; a word that is longer stays whole. */
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
 * Fits a help text into a terminal of `width` characters. The lines of a paragraph are joined and broken again. An
 * indented line keeps its indent; what does not fit continues below its text or, if it has two columns, below the
 * second one.
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

/** Continuation lines of a list entry are indented at least this far, to the entry's second column. */
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
