import { equalBytes } from '../hex.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import type { Named, Place } from './inspector.js'
import { blockKey, bytesKey, encodeHeaderRecord, encodeHeight, TABLE } from './layout.js'
import type { BaseHeader, Located } from './rules.js'
import type { Writing } from './store.js'
import { reaches, thresholdOf } from './threshold.js'
import { ACCEPT, ignore, reject, type Verdict } from './verdict.js'

/** Where a block stands in the tree. */
export interface Standing<Header> {
  /** Anything but `accept` ends it, except `future`, which may be parked. */
  verdict: Verdict
  /** Its header is here already. */
  entry: Entry<Header> | undefined
  parent: Entry<Header> | undefined
  place: Place | undefined
  /** It forks off deeper than is followed. */
  deep: boolean
}

/** What can be said of a block without state. */
export interface Checked<Header = unknown> {
  verdict: Verdict
  /** From here on present when the header could be decoded. */
  hash?: Uint8Array
  header?: Header
  /** Present when its parent is here. */
  height?: number
  /** Transactions as bytes, views of the block. */
  txs?: Uint8Array[]
}

/** Finds where a block or header belongs and checks its header there. `top`: it is known to extend that one. */
export function assess<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  { header, hash }: Named<Header>,
  top?: Entry<Header>
): Standing<Header> {
  const { tree, inspector } = core
  const entry = tree.get(hash)
  const onTop = top != null && equalBytes(header.parent, top.at.hash)
  const parent = entry?.parent ?? (onTop ? top : (tree.get(header.parent) ?? core.older(header.parent)))
  const standing: Standing<Header> = { verdict: ACCEPT, entry, parent, place: undefined, deep: false }
  if (entry?.invalid != null) standing.verdict = reject('known-invalid', entry.invalid)
  else if (entry?.body) standing.verdict = ignore('known')
  else if (parent == null) standing.verdict = core.older(hash) == null ? ignore('unknown-parent') : ignore('known')
  else if (parent.invalid != null) standing.verdict = reject('known-invalid', parent.invalid)
  else {
    standing.deep =
      parent !== top && (parent.deep || tree.tooDeep(parent.main ? parent.at.height : tree.forkHeight(parent)))
    // below what is in memory it may be an old block of the head chain itself
    if (standing.deep && entry == null && core.older(hash) != null) standing.verdict = ignore('known')
    else if (entry != null) standing.place = { verdict: ACCEPT, height: entry.at.height, work: entry.at.work }
    else standing.place = inspector.place(header, hash, parent)
    if (standing.place != null)
      standing.verdict = objectionTo(core, hash, standing.place.height) ?? standing.place.verdict
  }
  return standing
}

/** A new header below a checkpoint that the head chain has passed is on another branch. */
export function objectionTo<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  hash: Uint8Array,
  height: number
): Verdict | undefined {
  const passed = core.terms.checkpoints.passed(core.tree.head.at.height)
  if (height > passed || core.entry(hash) != null) return undefined
  return reject('checkpoint', `it forks off below the checkpoint at ${passed}`)
}

/** All that can be said of a block without state; changes nothing. */
export function checkBlock<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, bytes: Uint8Array): Checked<Header> {
  const piece = core.inspector.open(bytes)
  if (!('hash' in piece)) return { verdict: piece }
  const checked = { ...checkNamed(core, piece), txs: piece.raw }
  if (checked.verdict.result !== 'accept' && !isFuture(checked.verdict)) return checked
  const body = core.inspector.body(piece)
  if (body.verdict.result !== 'accept') checked.verdict = body.verdict
  return checked
}

/** The same of a block whose body is still to come. */
export function checkHeader<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, bytes: Uint8Array): Checked<Header> {
  const named = core.inspector.header(bytes)
  return 'hash' in named ? checkNamed(core, named) : { verdict: named }
}

function checkNamed<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, named: Named<Header>): Checked<Header> {
  const { hash, header } = named
  const { verdict, place, deep } = assess(core, named)
  const checked: Checked<Header> = { verdict, hash, header }
  if (place == null) return checked
  checked.height = place.height
  // with one block its whole chain would come in, a block at a time
  if (verdict.result !== 'reject' && core.tree.get(hash) == null && !reaches(place, thresholdOf(core)))
    checked.verdict = ignore('low-work', `${place.work} in all`)
  else if (deep && (verdict.result === 'accept' || isFuture(verdict))) checked.verdict = ignore('too-deep')
  return checked
}

/** Remembers a header of a branch that forks off too deep; it is not stored. */
export function insertDeep<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  named: Named<Header>,
  parent: Entry<Header>,
  place: Place
): Entry<Header> {
  return core.tree.insert(located(named, place), parent, true)
}

/** Drops the lightest branches where headers would be too many. False when that was not enough. */
export function makeRoom<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, count: number): boolean {
  core.discard(core.tree.shed(count))
  return !core.tree.full
}

export const TOO_MANY = 'too many headers off the head chain'

/** `bytes`: of the header, where it comes without its body. */
export function located<Header>(
  { hash, header }: Named<Header>,
  { height, work }: Place,
  bytes?: Uint8Array
): Located<Header> {
  return { hash, height, work, header, bytes }
}

/** Would it do, but for a time ahead of our clock? */
export function isFuture(verdict: Verdict): boolean {
  return verdict.result === 'ignore' && verdict.reason === 'future'
}

/** What is stored of a header. */
export function putHeader(writing: Writing, { hash, height, work }: Located<unknown>, bytes: Uint8Array): void {
  writing.put(blockKey(TABLE.header, height, hash), encodeHeaderRecord(work, bytes))
  writing.put(bytesKey(TABLE.height, hash), encodeHeight(height))
}
