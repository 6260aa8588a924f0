const BACKSLASH = 0x5c
const COLON = 0x3a

/**
 * `JSON.parse` for stored text, without a bug of Node 24 (V8 12.8 and later,
 * https://github.com/nodejs/node/issues/63785). There, once `JSON.parse` has read an object with a key that ends with a
 * backslash, it misreads an escaped key of a later object of the same shape as that key: `{"a":1,"\"":2}` is read as
 * `{"a":1,"\\":2}`. A view could so mix up two keys, and only in the process that had read such an object. Text without
 * an escaped key, which is nearly all text, is read by `JSON.parse` alone.
 *
 * @throws SyntaxError if the text is not JSON
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return hasEscapedKey(text) ? parseStrictly(text, Number) : value
}

/** Whether valid JSON has a key that is written with an escape. Text without any backslash costs only one search. */
export function hasEscapedKey(text: string): boolean {
  for (let at = text.indexOf('\\'); at !== -1; at = text.indexOf('\\', at)) {
    at = endOfString(text, at)
    while (isSpace(text.charCodeAt(at))) at += 1
    if (text.charCodeAt(at) === COLON) return true
  }
  return false
}

/**
 * Reads valid JSON, without any caching of object shapes; see {@link parseJson}.
 *
 * @param toNumber turns the text of a number into a value
 */
export function parseStrictly(text: string, toNumber: (source: string) => unknown): unknown {
  let at = 0

  /** The next character that is no space. */
  const peek = (): string => {
    while (isSpace(text.charCodeAt(at))) at += 1
    return text.charAt(at)
  }
  /** The text of the string, number, or word that starts here. */
  const token = (): string => {
    const start = at
    if (text.charAt(at) === '"') at = endOfString(text, at)
    else while (at < text.length && !',]}'.includes(text.charAt(at)) && !isSpace(text.charCodeAt(at))) at += 1
    return text.slice(start, at)
  }
  const list = (): unknown[] => {
    const items: unknown[] = []
    for (at += 1; peek() !== ']'; ) {
      if (peek() === ',') at += 1
      else items.push(value())
    }
    at += 1
    return items
  }
  const object = (): Record<string, unknown> => {
    const fields: [string, unknown][] = []
    for (at += 1; peek() !== '}'; ) {
      if (peek() === ',') at += 1
      else {
        const key = JSON.parse(token()) as string
        peek()
        at += 1
        fields.push([key, value()])
      }
    }
    at += 1
    // Like JSON.parse: `__proto__` is an ordinary key, and if a key is repeated, its last value counts.
    return Object.fromEntries(fields)
  }
  const value = (): unknown => {
    const first = peek()
    if (first === '{') return object()
    if (first === '[') return list()
    const source = token()
    return /^[-\d]/.test(source) ? toNumber(source) : JSON.parse(source)
  }
  return value()
}

/** The index after the closing quote of a string. `open` is its opening quote, or a backslash inside it. */
export function endOfString(text: string, open: number): number {
  let close = text.indexOf('"', open + 1)
  while (close !== -1) {
    let backslashes = 0
    while (text.charCodeAt(close - 1 - backslashes) === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return close + 1
    close = text.indexOf('"', close + 1)
  }
  return text.length
}

/** Whether a character may stand between the tokens of JSON. */
export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}
