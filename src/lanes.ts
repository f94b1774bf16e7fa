import { sha256 } from './hash.js'
import { code } from './wasm/sha256.js'

/** What `assembly/sha256.ts` exports. Addresses are bytes from the start of the memory. */
interface Sha256 {
  memory: WebAssembly.Memory
  digest(at: number, length: number, out: number): void
  digests(table: number, count: number, out: number): void
  root(at: number, count: number): void
}

/** What comes before a leaf when it is hashed. */
const LEAF = 0
/** Hashes at once, and nodes of one subtree: a power of two. */
const MAX_COUNT = 4_096
const HASH_BYTES = 32
/** Places in the memory: the program's own come first. */
const TABLE = 65_536
const HASHES = TABLE + 8 * MAX_COUNT
const INPUT = HASHES + HASH_BYTES * MAX_COUNT
const INPUT_BYTES = 1 << 20
/** Longer ones are no faster side by side than one after the other where the processor knows SHA-256. */
const MAX_LENGTH = 16_384

/**
 * SHA-256 of many messages, four side by side in WebAssembly. Measured against one after the other with Node's crypto: 400 leaves of
 * 250 bytes and their root 0.30 ms instead of 0.97. Where there is no WebAssembly it is one after the other.
 */
class Lanes {
  readonly #program: Sha256
  readonly #memory: Uint8Array
  readonly #table: Uint32Array

  constructor(program: Sha256) {
    this.#program = program
    const pages = Math.ceil((INPUT + INPUT_BYTES) / 65_536)
    const now = program.memory.buffer.byteLength / 65_536
    if (pages > now) program.memory.grow(pages - now)
    this.#memory = new Uint8Array(program.memory.buffer)
    this.#table = new Uint32Array(program.memory.buffer, TABLE, 2 * MAX_COUNT)
  }

  /** One short message. */
  one(message: Uint8Array): Uint8Array {
    this.#memory.set(message, INPUT)
    this.#program.digest(INPUT, message.length, HASHES)
    return this.#memory.slice(HASHES, HASHES + HASH_BYTES)
  }

  /** Each message after `prefix`, if there is one; hashes stand one after the other. */
  many(messages: Uint8Array[], prefix: number | undefined): Uint8Array {
    const hashes = new Uint8Array(HASH_BYTES * messages.length)
    const before = prefix == null ? 0 : 1
    let first = 0
    let at = INPUT
    const flush = (end: number): void => {
      const count = end - first
      if (count === 0) return
      this.#program.digests(TABLE, count, HASHES)
      hashes.set(this.#memory.subarray(HASHES, HASHES + HASH_BYTES * count), HASH_BYTES * first)
    }
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!
      const length = message.length + before
      if (length > MAX_LENGTH) {
        flush(i)
        hashes.set(sha256(prefix == null ? message : prefixed(prefix, message)), HASH_BYTES * i)
        first = i + 1
        at = INPUT
        continue
      }
      if (i - first === MAX_COUNT || at + length > INPUT + INPUT_BYTES) {
        flush(i)
        first = i
        at = INPUT
      }
      this.#table[2 * (i - first)] = at
      this.#table[2 * (i - first) + 1] = length
      if (prefix != null) this.#memory[at] = prefix
      this.#memory.set(message, at + before)
      at += length
    }
    flush(messages.length)
    return hashes
  }

  root(hashes: Uint8Array): Uint8Array {
    let level = hashes
    // subtrees of a power of two have the same root by themselves as within the tree
    while (level.length > HASH_BYTES * MAX_COUNT) {
      const above = new Uint8Array(HASH_BYTES * Math.ceil(level.length / (HASH_BYTES * MAX_COUNT)))
      for (let i = 0; i < above.length; i += HASH_BYTES) {
        above.set(this.root(level.subarray(MAX_COUNT * i, MAX_COUNT * (i + HASH_BYTES))), i)
      }
      level = above
    }
    this.#memory.set(level, HASHES)
    this.#program.root(HASHES, level.length / HASH_BYTES)
    return this.#memory.slice(HASHES, HASHES + HASH_BYTES)
  }
}

function prefixed(prefix: number, message: Uint8Array): Uint8Array {
  const whole = new Uint8Array(1 + message.length)
  whole[0] = prefix
  whole.set(message, 1)
  return whole
}

let lanes: Lanes | undefined | null

function ready(): Lanes | undefined {
  if (lanes === undefined) {
    try {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code()))
      lanes = new Lanes(exports as unknown as Sha256)
    } catch {
      // a page may forbid it, an old browser lack what it needs
      lanes = null
    }
  }
  return lanes ?? undefined
}

/** SHA-256 of a short message, up to a few hundred bytes. */
export function sha256Short(message: Uint8Array): Uint8Array {
  const here = message.length > MAX_LENGTH ? undefined : ready()
  return here == null ? sha256(message) : here.one(message)
}

/** SHA-256 of each of `prefix` (a byte, if there is one) ‖ message: the hashes one after the other. */
export function sha256Many(messages: Uint8Array[], prefix?: number): Uint8Array {
  const here = ready()
  if (here != null) return here.many(messages, prefix)
  const hashes = new Uint8Array(HASH_BYTES * messages.length)
  for (let i = 0; i < messages.length; i++) {
    hashes.set(sha256(prefix == null ? messages[i]! : prefixed(prefix, messages[i]!)), HASH_BYTES * i)
  }
  return hashes
}

/** RFC 6962 root over leaf hashes that stand one after the other; at least one. */
export function rootOf(hashes: Uint8Array): Uint8Array {
  const here = ready()
  if (here != null) return here.root(hashes)
  let level = hashes.slice()
  const node = new Uint8Array(1 + 2 * HASH_BYTES)
  node[0] = 1
  while (level.length > HASH_BYTES) {
    const above = new Uint8Array(HASH_BYTES * Math.ceil(level.length / (2 * HASH_BYTES)))
    for (let i = 0; i < above.length; i += HASH_BYTES) {
      const pair = level.subarray(2 * i, 2 * (i + HASH_BYTES))
      if (pair.length === HASH_BYTES) above.set(pair, i)
      else {
        node.set(pair, 1)
        above.set(sha256(node), i)
      }
    }
    level = above
  }
  return level
}

/** IDs of transactions, side by side: the leaf hashes of RFC 6962. */
export function leafHashes(txs: Uint8Array[]): Uint8Array[] {
  return apart(sha256Many(txs, LEAF))
}

/** Hashes that stand one after the other, each as a view. */
export function apart(hashes: Uint8Array): Uint8Array[] {
  const views: Uint8Array[] = []
  for (let at = 0; at < hashes.length; at += HASH_BYTES) views.push(hashes.subarray(at, at + HASH_BYTES))
  return views
}
