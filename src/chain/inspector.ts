import type { Clock } from '../clock.js'
import { sha256 } from '../hash.js'
import { equalBytes, toHex } from '../hex.js'
import { apart, sha256Many } from '../lanes.js'
import { ancestorsOf } from './ancestors.js'
import { spansOf } from './block.js'
import type { Entry } from './entry.js'
import { MAX_WORK, type Terms } from './genesis.js'
import { leafHashes, merkleRoots, rootOfLeaves } from './merkle.js'
import { type Body, Piece, type Place } from './piece.js'
import type { BaseHeader, Located } from './rules.js'
import { isPromise } from './state.js'
import { opaque } from './struct.js'
import { type CheckedTx, TxChecks, undecodable } from './tx-checks.js'
import { ACCEPT, ignore, reject, type Verdict } from './verdict.js'

export type { Body, Piece, Place } from './piece.js'

export interface InspectorInit<Header extends BaseHeader, Tx> {
  terms: Terms<Header, Tx>
  clock: Clock
  /** The block before, also where it is no longer in memory. */
  before(entry: Entry<Header>): Entry<Header> | undefined
  /** A rule of the app threw. */
  threw(rule: string, cause: unknown): void
}

/** Number of blocks whose median time a block must pass. */
export const MEDIAN = 11

/** Checks whatever needs no state. Never throws, keeps nothing but a weak memory of blocks already taken apart. */
export class Inspector<Header extends BaseHeader, Tx> {
  readonly #terms: Terms<Header, Tx>
  readonly #init: InspectorInit<Header, Tx>
  readonly #pieces = new WeakMap<Uint8Array, Piece<Header, Tx>>()
  readonly #times = new Float64Array(MEDIAN)
  readonly txs: TxChecks<Header, Tx>

  constructor(init: InspectorInit<Header, Tx>) {
    this.#init = init
    this.#terms = init.terms
    this.txs = new TxChecks(init.terms, init.threw)
  }

  /** Takes a block apart: sizes, encoding of the header, hash. */
  open(bytes: Uint8Array): Piece<Header, Tx> | Verdict {
    const seen = this.#pieces.get(bytes)
    if (seen != null) return seen
    const piece = this.#open(bytes)
    // from `check` to `add` the same bytes need not be taken apart twice
    if ('hash' in piece) this.#pieces.set(bytes, piece)
    return piece
  }

  forget(bytes: Uint8Array): void {
    this.#pieces.delete(bytes)
  }

  /** Takes many blocks apart, and hashes their transactions side by side. `known`: where the n-th is expected to be one of these. */
  openAll(blocks: Uint8Array[], known: (n: number) => Located<Header> | undefined): Array<Piece<Header, Tx> | Verdict> {
    const opened = blocks.map((bytes, n) => this.#pieces.get(bytes) ?? this.#open(bytes, known(n)))
    const pieces = opened.filter((piece) => 'hash' in piece)
    const roots = merkleRoots(pieces)
    for (const [i, piece] of pieces.entries()) piece.root = roots[i]
    return opened
  }

  #open(bytes: Uint8Array, known?: Located<Header>): Piece<Header, Tx> | Verdict {
    let spans: number[]
    try {
      spans = spansOf(bytes, this.#terms.limits)
    } catch (err) {
      return undecodable(err)
    }
    const found = bytes.subarray(spans[0], spans[1])
    if (known?.bytes != null && equalBytes(known.bytes, found))
      return new Piece(bytes, spans, known.bytes, known.header, known.hash)
    const headerBytes = found.slice()
    const named = this.header(headerBytes)
    return 'hash' in named ? new Piece(bytes, spans, headerBytes, named.header, named.hash) : named
  }

  /** Decodes and hashes a header. `hashed`: its hash, where that is known. */
  header(bytes: Uint8Array, hashed?: Uint8Array): Named<Header> | Verdict {
    const { rules, limits, genesis } = this.#terms
    if (bytes.length > limits.headerBytes)
      return reject('too-large', `header of ${bytes.length} bytes, over ${limits.headerBytes}`)
    let header: Header
    try {
      header = rules.header.decode(bytes)
      if (rules.header.canonical !== true && !equalBytes(rules.header.encode(header), bytes))
        return reject('malformed', 'the header encodes to other bytes')
    } catch (err) {
      return undecodable(err)
    }
    if (header.parent?.length !== 32 || header.root?.length !== 32)
      return reject('malformed', 'parent and root are 32 bytes')
    if (!Number.isSafeInteger(header.time) || header.time < 0) return reject('malformed', `time ${header.time}`)
    const hash = equalBytes(bytes, genesis.header) ? genesis.at.hash : (hashed ?? this.hash(bytes))
    if (hash == null) return ignore('error', 'rules.hash failed')
    return { header, hash }
  }

  /** Hashes of headers, side by side where the rules can. Undefined for all where they fail: then each is tried alone. */
  hashes(headers: Uint8Array[]): Array<Uint8Array | undefined> {
    const { rules } = this.#terms
    if (rules.hash == null) return apart(sha256Many(headers))
    if (rules.hash.many == null) return []
    try {
      const hashes = rules.hash.many(headers)
      if (hashes.length === headers.length && hashes.every(({ length }) => length === 32)) return hashes
      throw new TypeError('hash.many: not one hash of 32 bytes for each')
    } catch (err) {
      this.#init.threw('hash', err)
      return []
    }
  }

  hash(bytes: Uint8Array): Uint8Array | undefined {
    const { rules } = this.#terms
    if (rules.hash == null) return sha256(bytes)
    try {
      const hash = rules.hash(bytes)
      if (hash.length === 32) return hash
      throw new TypeError(`${hash.length} bytes, not 32`)
    } catch (err) {
      this.#init.threw('hash', err)
      return undefined
    }
  }

  /** Checks a header against those before it. `future` comes last: whatever else is wrong with it is said first. */
  place(header: Header, hash: Uint8Array, parent: Entry<Header>): Place {
    const height = parent.at.height + 1
    const place: Place = { verdict: ACCEPT, height, work: parent.at.work }
    place.verdict = this.#place(header, hash, parent, place)
    return place
  }

  #place(header: Header, hash: Uint8Array, parent: Entry<Header>, place: Place): Verdict {
    const { rules, lookback, limits } = this.#terms
    if (header.height !== undefined && header.height !== place.height)
      return reject('height', `${header.height} after ${parent.at.height}`)
    const wanted = this.#terms.checkpoints.objection(place.height, hash)
    if (wanted != null) return reject('checkpoint', `block ${place.height} is ${toHex(wanted)} by a checkpoint`)
    if (!this.#late(header.time, parent))
      return reject('time-too-old', `${header.time} is not after ${this.median(parent)}`)
    try {
      const work = rules.work == null ? 1n : rules.work(header)
      if (typeof work !== 'bigint' || work <= 0n) return reject('header', `work ${String(work)}`)
      place.work += work
      if (place.work > MAX_WORK) return reject('header', 'total work over 2^256 - 1')
      const check = rules.checkHeader?.(header, hash, ancestorsOf(parent, lookback, this.#init.before)) ?? true
      if (check !== true) return 'reject' in check ? reject('header', check.reject) : ignore('rule', check.ignore)
    } catch (err) {
      this.#init.threw('checkHeader', err)
      return ignore('error', 'rules.checkHeader threw')
    }
    const ahead = header.time - this.#init.clock.now()
    return ahead > limits.futureMs ? ignore('future', `${ahead} ms ahead`) : ACCEPT
  }

  /** Checks a block's transactions, once. */
  body(piece: Piece<Header, Tx>): Body<Tx> {
    if (piece.body == null) {
      const body = this.#body(piece)
      // what failed in our own code may go better next time
      if (body.verdict.result === 'ignore') return body
      piece.body = body
    }
    return piece.body
  }

  /**
   * Does what `body` is to find done, where the rules check many transactions on other cores. Undefined when there is nothing to wait
   * for. For blocks whose headers are known to be good: the work is paid by nobody else. `remember`: other copies of these bytes find it
   * done, too.
   */
  prepare(pieces: Piece<Header, Tx>[], remember = false): Promise<unknown> | undefined {
    if (this.#terms.rules.checkTxs == null) return undefined
    const waits: Promise<void>[] = []
    for (const piece of pieces) {
      if (piece.body != null || piece.raw.length === 0 || !this.#rooted(piece)) continue
      const ids = this.#ids(piece, remember)
      const settle = (checked: CheckedTx<Tx>[]): void => this.#settle(piece, checked)
      const checks = this.txs.many(piece.raw, ids, { urgent: true, remember })
      if (isPromise(checks)) waits.push(checks.then(settle))
      else settle(checks)
    }
    return waits.length === 0 ? undefined : Promise.all(waits)
  }

  #settle(piece: Piece<Header, Tx>, checked: CheckedTx<Tx>[]): void {
    const wrong = checked.findIndex(({ verdict }) => verdict.result !== 'accept')
    if (wrong < 0) piece.body = { verdict: ACCEPT, bound: true, txs: checked.map(({ tx }) => tx as Tx) }
    else if (checked[wrong]!.verdict.result === 'reject') {
      piece.body = { verdict: inBlock(checked[wrong]!.verdict, wrong), bound: true, txs: [] }
    }
  }

  #body(piece: Piece<Header, Tx>): Body<Tx> {
    if (!this.#rooted(piece))
      return { verdict: reject('root', 'the transactions have another Merkle root'), bound: false, txs: [] }
    const { tx: codec, checkTx, state } = this.#terms.rules
    const txs: Tx[] = []
    // whatever its bytes are, there is nothing that could be wrong with a transaction
    if (isOpaque(codec) && checkTx == null && state == null) return { verdict: ACCEPT, bound: true, txs }
    // of many blocks together only the roots are known: hashing again what is cheap to check would not pay
    const ids = piece.leaves == null ? undefined : this.#ids(piece)
    for (let i = 0; i < piece.raw.length; i++) {
      const { verdict, tx } = this.txs.inBlock(piece.raw[i]!, ids?.[i])
      if (verdict.result !== 'accept') return { verdict: inBlock(verdict, i), bound: true, txs: [] }
      if (state != null) txs.push(tx as Tx)
    }
    return { verdict: ACCEPT, bound: true, txs }
  }

  /** IDs of its transactions, where some may be remembered, or are to be. */
  #ids(piece: Piece<Header, Tx>, remember = false): Uint8Array[] | undefined {
    if (this.#terms.rules.checkTx == null || !(remember || this.txs.remembers)) return undefined
    piece.leaves ??= leafHashes(piece.raw)
    return apart(piece.leaves)
  }

  /** Do its transactions hash to what the header says? */
  #rooted(piece: Piece<Header, Tx>): boolean {
    if (piece.root == null) {
      // where transactions are checked their IDs are wanted as well
      if (this.#terms.rules.checkTx != null) piece.leaves ??= leafHashes(piece.raw)
      piece.root = piece.leaves == null ? merkleRoots([piece])[0]! : rootOfLeaves(piece.leaves)
    }
    return equalBytes(piece.root, piece.header.root)
  }

  /** Decodes and checks one transaction. */
  tx(bytes: Uint8Array): CheckedTx<Tx> {
    return this.txs.one(bytes)
  }

  /** Takes a stored block apart again. Undefined when it is damaged. */
  reopen(bytes: Uint8Array): { piece: Piece<Header, Tx>; txs: Tx[] } | undefined {
    const piece = this.#open(bytes)
    if (!('hash' in piece)) return undefined
    if (!equalBytes(merkleRoots([piece])[0]!, piece.header.root)) return undefined
    try {
      return { piece, txs: piece.raw.map((tx) => this.#terms.rules.tx.decode(tx)) }
    } catch {
      return undefined
    }
  }

  /** Median time of a block and the ten before it: the next one must be later. */
  median(parent: Entry<Header>): number {
    const count = this.#fill(parent)
    return this.#times.slice(0, count).sort()[count >> 1]!
  }

  #late(time: number, parent: Entry<Header>): boolean {
    const count = this.#fill(parent)
    for (let i = 0; i < count; i++) if (time <= this.#times[i]!) return time > this.median(parent)
    return true
  }

  #fill(parent: Entry<Header>): number {
    let count = 0
    for (let at: Entry<Header> | undefined = parent; at != null && count < MEDIAN; at = this.#init.before(at)) {
      this.#times[count++] = at.at.header.time
    }
    return count
  }
}

export interface Named<Header> {
  header: Header
  hash: Uint8Array
}

function isOpaque(codec: unknown): boolean {
  return codec === opaque
}

function inBlock(verdict: Verdict, index: number): Verdict {
  if (verdict.result === 'accept') return verdict
  const detail = `transaction ${index}: ${verdict.detail ?? verdict.reason}`
  // whatever is wrong with a transaction that the root commits to, the block can never be good
  return verdict.result === 'reject' ? reject('tx', detail) : ignore(verdict.reason, detail)
}
