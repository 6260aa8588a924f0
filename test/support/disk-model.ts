/** What the kernel keeps and writes at once, in bytes. */
const PAGE = 4_096

interface ModelledFile {
  /** What processes read. */
  cache: Buffer
  /** What a power cut leaves. */
  disk: Buffer
  /** Pages that were written since the last sync. */
  readonly dirty: Set<number>
}

/**
 * Files as Linux keeps them: writes go to the page cache, a sync takes the dirty pages to the disk, and a sync that
 * **fails** leaves them clean though they are not there. Fed with what strace has seen.
 */
export class DiskModel {
  readonly #files = new Map<string, ModelledFile>()
  /** By thread, the beginning of a call during which other threads made theirs. */
  readonly #unfinished = new Map<string, string>()

  /** Takes over one line of `strace -f -y -xx`. A call that another line ends happens there. */
  observe(line: string): void {
    const [, thread = '', begun] = /^(\d+) +(.*) <unfinished \.\.\.>$/.exec(line) ?? []
    if (begun !== undefined) this.#unfinished.set(thread, begun)
    const resumed = /^(\d+) +<\.\.\. \w+ resumed>(.*)$/.exec(line)
    this.#call(
      resumed ? `${this.#unfinished.get(String(resumed[1]))}${resumed[2]}` : line.replace(/^\d+ +/, ''),
    )
  }

  #call(text: string): void {
    const found = /^(\w+)\(\d+<([^>]+)>(?:, (.*))?\) += (-?\d+)/.exec(text)
    if (!found) return
    const [, call = '', path = '', rest = '', result = ''] = found
    const file = this.#file(unescaped(path).toString())
    if (call === 'pwrite64') {
      const [, hex = '', offset = '0'] = /^"((?:\\x[0-9a-f]{2})*)", \d+, (\d+)$/.exec(rest) ?? []
      const bytes = unescaped(hex).subarray(0, Math.max(0, Number(result)))
      write(file, bytes, Number(offset))
    } else if (call === 'ftruncate' && result === '0') {
      file.cache = resized(file.cache, Number(rest))
      file.disk = resized(file.disk, Math.min(file.disk.length, Number(rest)))
    } else if (call === 'fsync' || call === 'fdatasync') {
      if (result === '0') file.disk = onDisk(file, [...file.dirty])
      file.dirty.clear()
    }
  }

  /** What a power cut leaves of a file now; some of what was not synced may have been written all the same. */
  afterPowerCut(path: string, random: () => number): Buffer {
    const file = this.#file(path)
    const luck = random()
    return onDisk(
      file,
      [...file.dirty].filter(() => random() < luck),
    )
  }

  #file(path: string): ModelledFile {
    const known = this.#files.get(path)
    if (known) return known
    const file = { cache: Buffer.alloc(0), disk: Buffer.alloc(0), dirty: new Set<number>() }
    this.#files.set(path, file)
    return file
  }
}

/** The bytes that strace has written as `\\x2f\\x74`. */
export function unescaped(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex')
}

function write(file: ModelledFile, bytes: Buffer, offset: number): void {
  file.cache = resized(file.cache, Math.max(file.cache.length, offset + bytes.length))
  bytes.copy(file.cache, offset)
  for (let page = Math.floor(offset / PAGE); page * PAGE < offset + bytes.length; page += 1)
    file.dirty.add(page)
}

function onDisk({ cache, disk }: ModelledFile, pages: readonly number[]): Buffer {
  const ends = pages.map((page) => Math.min(cache.length, (page + 1) * PAGE))
  const result = resized(disk, Math.max(disk.length, ...ends))
  for (const page of pages)
    cache.copy(result, page * PAGE, page * PAGE, Math.min(cache.length, (page + 1) * PAGE))
  return result
}

function resized(buffer: Buffer, length: number): Buffer {
  if (buffer.length === length) return Buffer.from(buffer)
  const result = Buffer.alloc(length)
  buffer.copy(result)
  return result
}
