import { equalBytes } from '../hex.js'
import type { Core } from './core.js'
import { type Entry, type Status, statusOf } from './entry.js'
import { bytesKey, decodeHeaderRecord, headerOf, readHeight, TABLE } from './layout.js'
import type { BaseHeader, Located } from './rules.js'

/** Newest headers that a locator names one by one; further down the distance doubles. */
const DENSE = 10
/** Longest side branch that is given out. */
const MAX_BRANCH = 2_000

/** A value of the state at head; it is waited for while the state belongs to no block. */
export function readState<Header extends BaseHeader, Tx>(
  { store, emptied }: Core<Header, Tx>,
  key: Uint8Array
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const stored = bytesKey(TABLE.state, key)
  return emptied == null ? store.read(stored) : emptied.then(() => store.read(stored))
}

/** Where a block stands; undefined for one that is not here. */
export function statusAt<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, hash: Uint8Array): Status | undefined {
  const entry = core.entry(hash)
  return entry == null ? undefined : statusOf(entry)
}

export function hashAt<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, height: number): Uint8Array | undefined {
  const { tree, store } = core
  if (!Number.isSafeInteger(height) || height < 0 || height > tree.head.at.height) return undefined
  return tree.mainAt(height)?.at.hash ?? store.mainAt(height)
}

/** A block's bytes, wherever it stands. */
export async function bodyOf<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  hash: Uint8Array
): Promise<Uint8Array | undefined> {
  const entry = core.tree.get(hash)
  if (entry != null) return entry.body ? core.store.body(entry.at.height, hash) : undefined
  const height = await core.store.db.get(bytesKey(TABLE.height, hash))
  return height?.length === 6 ? core.store.body(readHeight(height, 0), hash) : undefined
}

/** Bodies of the head chain, ascending, in pages. */
export async function* blocksOf<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number,
  to: number
): AsyncGenerator<Uint8Array[]> {
  const last = core.bodies ? Math.min(to, core.tree.head.at.height) : -1
  if (from <= last) yield* core.store.main(TABLE.body, Math.max(0, from), last)
}

/** Header bytes of the head chain, ascending, in pages. */
export async function* headersOf<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number,
  to: number
): AsyncGenerator<Uint8Array[]> {
  const last = Math.min(to, core.tree.head.at.height)
  if (from > last) return
  for await (const page of core.store.main(TABLE.header, Math.max(0, from), last)) {
    const headers: Uint8Array[] = []
    for (const record of page) {
      const header = headerOf(record)
      if (header != null) headers.push(header)
    }
    yield headers
  }
}

/** Header bytes of a side branch from its fork up to `hash`. */
export function branchTo<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  hash: Uint8Array
): Uint8Array[] | undefined {
  const headers: Uint8Array[] = []
  let at = core.tree.get(hash)
  if (at == null || at.main || at.deep) return undefined
  for (; at != null && !at.main; at = at.parent) {
    if (headers.length === MAX_BRANCH) return undefined
    headers.push(core.terms.rules.header.encode(at.at.header))
  }
  return headers.reverse()
}

/** Hashes of a branch from `from` down: ten one after another, then at distances that double, genesis last. */
export function locatorFrom<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: Located<Header>
): Uint8Array[] {
  const { tree } = core
  const hashes: Uint8Array[] = []
  const onPath = tree.target.at === from || equalBytes(tree.target.at.hash, from.hash)
  let entry: Entry<Header> | undefined = core.entry(from.hash)
  let step = 1
  for (let height = from.height; height > 0 && entry != null; height -= step) {
    // on the head chain and on the way to the target any height is at hand; elsewhere it is a walk
    if (!entry.main && onPath) entry = tree.pathAt(height) ?? tree.mainAt(height) ?? entry
    while (entry != null && !entry.main && entry.at.height > height) entry = entry.parent
    const hash: Uint8Array | undefined = entry == null || entry.main ? hashAt(core, height) : entry.at.hash
    if (hash == null) break
    hashes.push(hash)
    if (hashes.length >= DENSE) step *= 2
  }
  hashes.push(core.terms.genesis.at.hash)
  return hashes
}

/** Headers of the head chain from a height up to a block of it. Undefined where anything of it is missing or damaged. */
export async function readMain<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number,
  to: { height: number; hash: Uint8Array }
): Promise<Located<Header>[] | undefined> {
  const lowest = Math.max(0, from)
  const chain: Located<Header>[] = []
  for await (const page of core.store.main(TABLE.header, lowest, to.height)) {
    for (const value of page) {
      const record = decodeHeaderRecord(value)
      const named = record == null ? undefined : core.inspector.header(record.header)
      if (record == null || named == null || !('hash' in named)) return undefined
      const before = chain.at(-1)
      if (before != null && !equalBytes(before.hash, named.header.parent)) return undefined
      chain.push({ hash: named.hash, height: lowest + chain.length, work: record.work, header: named.header })
    }
  }
  const last = chain.at(-1)
  return last != null && last.height === to.height && equalBytes(last.hash, to.hash) ? chain : undefined
}
