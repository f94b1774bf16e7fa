import { viewsOf } from '../lanes.js'
import type { Verdict } from './verdict.js'

/** A block taken apart. */
export class Piece<Header, Tx> {
  /** Merkle root of the transactions, once it is computed. */
  root: Uint8Array | undefined
  /** The IDs of its transactions one after the other, once they are known. */
  leaves: Uint8Array | undefined
  body: Body<Tx> | undefined
  #raw: Uint8Array[] | undefined

  constructor(
    readonly bytes: Uint8Array,
    /** Where its parts lie, see `spansOf`. */
    readonly spans: number[],
    /** Own copy of the header's bytes: it may outlive the block. */
    readonly headerBytes: Uint8Array,
    readonly header: Header,
    readonly hash: Uint8Array
  ) {}

  /** Transactions. */
  get count(): number {
    return this.spans.length / 2 - 1
  }

  /** Transactions as they came. Views are made when they are asked for: of a large block there are hundreds. */
  get raw(): Uint8Array[] {
    this.#raw ??= viewsOf(this)
    return this.#raw
  }
}

/** What comes of a block's transactions. */
export interface Body<Tx> {
  verdict: Verdict
  /** The body matches the root: a refusal is for ever. */
  bound: boolean
  /** Where there is a state to which they are applied. */
  txs: Tx[]
}

/** Where a header would stand. */
export interface Place {
  verdict: Verdict
  height: number
  /** Of the header and all before it. */
  work: bigint
}
