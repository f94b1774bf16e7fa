import { equalBytes } from '../hex.js'
import { readHeight, writeHeight } from './layout.js'
import type { FrozenRecord } from './record.js'

/** The files of old blocks: one each for header records, for blocks, and for where they lie. */
export type FileName = 'headers' | 'blocks' | 'index'

/**
 * Where a chain keeps its old blocks: three files that can be read and written anywhere. Opened and closed by who made it. What is written
 * must be there for the next process, also after `kill -9`; for a power cut only after `sync`.
 */
export interface FreezerFiles {
  /** Bytes of a file. */
  size(file: FileName): Promise<number>
  /** Fewer bytes where the file ends. */
  read(file: FileName, at: number, length: number): Promise<Uint8Array>
  readSync(file: FileName, at: number, length: number): Uint8Array
  /** Writes one behind the other, over what is there. */
  write(file: FileName, at: number, parts: Uint8Array[]): Promise<void>
  /** Resolves when the disk has all that was written. */
  sync(): Promise<void>
}

/** A block of the head chain on its way into the files. */
export interface Frozen {
  height: number
  hash: Uint8Array
  /** As in the table `h`. */
  record: Uint8Array
  /** None in a chain of headers. */
  bytes: Uint8Array | undefined
}

/** hash ‖ end of the header record ‖ end of the block. */
const ENTRY_BYTES = 44
/** Entries looked up for a page, and bytes of a page. */
const PAGE = 1_000
const PAGE_BYTES = 1_048_576
/** After a power cut so much is looked through again. */
const SYNC_BYTES = 16 * 1_048_576
/** Smaller ones are gathered before they are written. */
const LARGE = 16_384
/** Of a block or header record: no limit of the rules is higher, save for the record's work. What is said to be larger is damaged. */
const MOST_BYTES = 16 * 1_048_576 + 64

const SPANS = { headers: 32, blocks: 38 } as const

/** Where the record's data ends. */
interface Ends {
  headers: number
  blocks: number
}

/**
 * The old blocks of the head chain, in append-only files, as geth keeps them (core/rawdb/freezer.go). A block costs LevelDB its bytes three
 * times over and an operation for each table; here it is written once, and a range of blocks is read in one go.
 *
 * The files hold heights 1 to `top` and nothing else; what lies behind is not there, whatever the bytes. What is in them is said by a
 * record in the store, which is written with the batch that a change belongs to: a crash leaves both as they were before or after it.
 */
export class Freezer {
  readonly #files: FreezerFiles
  #top = 0
  #synced = 0
  /** Written since the last sync. */
  #unsynced = 0
  /** Changes whenever blocks were taken out: what was read before may belong to another chain. */
  #generation = 0
  /** Blocks that the record named and the files did not have. */
  #lost = 0

  constructor(files: FreezerFiles) {
    this.#files = files
  }

  /** The highest block; 0 when there is none. */
  get top(): number {
    return this.#top
  }

  /** What lies above may be damaged after a power cut. */
  get synced(): number {
    return this.#synced
  }

  get generation(): number {
    return this.#generation
  }

  /** Blocks that were missing from the files when they were opened, until the store's record says so, too. */
  get lost(): number {
    return this.#lost
  }

  holds(height: number): boolean {
    return height >= 1 && height <= this.#top
  }

  /** Takes up what the store says of the files, as far as it is there. */
  async open(record: FrozenRecord | undefined): Promise<void> {
    const { top, synced } = record ?? { top: 0, synced: 0 }
    const sizes = { headers: await this.#files.size('headers'), blocks: await this.#files.size('blocks') }
    const entries = Math.floor((await this.#files.size('index')) / ENTRY_BYTES)
    this.#top = await this.#whole(Math.min(top, entries), sizes)
    this.#lost = top - this.#top
    this.#synced = Math.min(synced, this.#top)
    this.#unsynced = 0
    this.#generation++
  }

  hashAt(height: number): Uint8Array | undefined {
    return this.holds(height) ? this.#entry(height)?.subarray(0, 32) : undefined
  }

  /** The header record of a block; undefined for another block of that height. */
  recordAt(height: number, hash: Uint8Array): Uint8Array | undefined {
    const span = this.#find('headers', height, hash)
    return span && this.#files.readSync('headers', span.from, span.to - span.from)
  }

  /** A block's bytes; undefined for another block of that height. */
  async body(height: number, hash: Uint8Array): Promise<Uint8Array | undefined> {
    const span = this.#find('blocks', height, hash)
    const generation = this.#generation
    const bytes = span && (await this.#files.read('blocks', span.from, span.to - span.from))
    return bytes?.length === (span && span.to - span.from) && generation === this.#generation ? bytes : undefined
  }

  /** Hashes from a height up to `to`, as many as fit into a page. */
  hashes(from: number, to: number): Uint8Array[] {
    const count = Math.min(PAGE, Math.min(to, this.#top) - from + 1)
    const entries = this.#files.readSync('index', (from - 1) * ENTRY_BYTES, count * ENTRY_BYTES)
    return Array.from({ length: Math.floor(entries.length / ENTRY_BYTES) }, (_, i) =>
      entries.subarray(i * ENTRY_BYTES, i * ENTRY_BYTES + 32)
    )
  }

  /**
   * Hashes, and header records or blocks, from a height up to `to`, as many as fit into a page and come before one that is damaged. Undefined
   * where the first is, or they cannot be read.
   */
  async page(
    file: 'headers' | 'blocks',
    from: number,
    to: number
  ): Promise<{ hashes: Uint8Array[]; values: Uint8Array[] } | undefined> {
    const generation = this.#generation
    const count = Math.min(PAGE, Math.min(to, this.#top) - from + 1)
    const entries = this.#files.readSync('index', (from - 1) * ENTRY_BYTES, count * ENTRY_BYTES)
    const start = this.#ends(from - 1)[file]
    const hashes: Uint8Array[] = []
    const ends: number[] = []
    for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
      const end = readHeight(entries, at + SPANS[file])
      if (end < (ends.at(-1) ?? start) || end - start > (ends.length > 0 ? PAGE_BYTES : MOST_BYTES)) break
      ends.push(end)
      hashes.push(entries.subarray(at, at + 32))
    }
    if (ends.length === 0) return undefined
    const bytes = await this.#files.read(file, start, ends.at(-1)! - start)
    if (bytes.length < ends.at(-1)! - start || generation !== this.#generation) return undefined
    return { hashes, values: ends.map((end, i) => bytes.subarray((ends[i - 1] ?? start) - start, end - start)) }
  }

  /**
   * Writes blocks behind the top, ascending. They are there once the record that it answers was stored, and `settle` called: until then it
   * may be called again with others.
   */
  async append(blocks: Frozen[], sync: boolean): Promise<FrozenRecord> {
    const first = this.#top + 1
    if (blocks[0]?.height !== first) throw new RangeError(`block ${blocks[0]?.height} is not the next, ${first}`)
    const ends = this.#ends(this.#top)
    if (ends.headers === Number.POSITIVE_INFINITY) throw new Error(`where block ${this.#top} ends cannot be read`)
    const index = new Uint8Array(blocks.length * ENTRY_BYTES)
    const starts = { ...ends }
    const bodies: Uint8Array[] = []
    for (let i = 0; i < blocks.length; i++) {
      const { hash, record, bytes } = blocks[i]!
      ends.headers += record.length
      ends.blocks += bytes?.length ?? 0
      if (bytes != null) bodies.push(bytes)
      index.set(hash, i * ENTRY_BYTES)
      writeHeight(index, i * ENTRY_BYTES + SPANS.headers, ends.headers)
      writeHeight(index, i * ENTRY_BYTES + SPANS.blocks, ends.blocks)
    }
    const written = await Promise.allSettled([
      this.#files.write('index', (first - 1) * ENTRY_BYTES, [index]),
      this.#files.write('headers', starts.headers, gathered(blocks.map(({ record }) => record))),
      this.#files.write('blocks', starts.blocks, gathered(bodies))
    ])
    // thrown once none of them is under way any more, which would write over what comes next
    for (const each of written) if (each.status === 'rejected') throw each.reason
    const top = blocks.at(-1)!.height
    this.#unsynced += index.length + ends.headers - starts.headers + ends.blocks - starts.blocks
    if (sync || this.#unsynced >= SYNC_BYTES) return this.sync(top)
    return { top, synced: this.#synced }
  }

  /** Has the disk write all of it. */
  async sync(top = this.#top): Promise<FrozenRecord> {
    await this.#files.sync()
    this.#unsynced = 0
    return { top, synced: top }
  }

  /** Whether anything of it would not survive a power cut. */
  get dirty(): boolean {
    return this.#synced < this.#top
  }

  /** What was appended may be read from now on, before the tables lose it. Answers how to take that back. */
  raise(top: number): () => void {
    const before = this.#top
    this.#top = Math.max(top, before)
    return () => {
      if (this.#top > before) this.#generation++
      this.#top = before
    }
  }

  /** What the store says of the files from now on. */
  settle({ top, synced }: FrozenRecord): void {
    if (top < this.#top) this.#generation++
    this.#top = top
    this.#synced = Math.min(synced, top)
    this.#lost = 0
  }

  /** The record of files that hold nothing above a height. */
  upTo(height: number): FrozenRecord {
    return { top: height, synced: Math.min(this.#synced, height) }
  }

  #find(file: 'headers' | 'blocks', height: number, hash: Uint8Array): { from: number; to: number } | undefined {
    const entry = this.holds(height) ? this.#entry(height) : undefined
    if (entry == null || !equalBytes(entry.subarray(0, 32), hash)) return undefined
    const from = this.#ends(height - 1)[file]
    const to = readHeight(entry, SPANS[file])
    return from < to && to - from <= MOST_BYTES ? { from, to } : undefined
  }

  /** The highest block up to a height of which the files have all. */
  async #whole(height: number, sizes: Ends): Promise<number> {
    for (let last = height; last > 0; ) {
      const first = Math.max(1, last - PAGE + 1)
      const index = await this.#files.read('index', (first - 1) * ENTRY_BYTES, (last - first + 1) * ENTRY_BYTES)
      for (; last >= first; last--) {
        const at = (last - first) * ENTRY_BYTES
        const ends = { headers: readHeight(index, at + SPANS.headers), blocks: readHeight(index, at + SPANS.blocks) }
        if (fits(ends, sizes)) return last
      }
    }
    return 0
  }

  #entry(height: number): Uint8Array | undefined {
    const entry = this.#files.readSync('index', (height - 1) * ENTRY_BYTES, ENTRY_BYTES)
    return entry.length === ENTRY_BYTES ? entry : undefined
  }

  #ends(height: number): Ends {
    if (height === 0) return { headers: 0, blocks: 0 }
    const entry = this.#entry(height)
    // as if it lay behind the end of any file
    if (entry == null) return { headers: Number.POSITIVE_INFINITY, blocks: Number.POSITIVE_INFINITY }
    return { headers: readHeight(entry, SPANS.headers), blocks: readHeight(entry, SPANS.blocks) }
  }
}

function fits(ends: Ends, sizes: Ends): boolean {
  return ends.headers > 0 && ends.headers <= sizes.headers && ends.blocks <= sizes.blocks
}

/** Small parts side by side in larger ones: each costs a place in a system call. */
function gathered(parts: Uint8Array[]): Uint8Array[] {
  const all: Uint8Array[] = []
  let small: Uint8Array[] = []
  let length = 0
  const flush = (): void => {
    if (small.length === 0) return
    const bytes = new Uint8Array(length)
    let at = 0
    for (const part of small) {
      bytes.set(part, at)
      at += part.length
    }
    all.push(bytes)
    small = []
    length = 0
  }
  for (const part of parts) {
    if (part.length < LARGE) {
      small.push(part)
      length += part.length
    } else {
      flush()
      all.push(part)
    }
  }
  flush()
  return all
}
