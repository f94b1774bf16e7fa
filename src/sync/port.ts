import type { Split, Verdict } from '../chain/index.js'

/** A block in its place, as sync knows it. `Located` of `blockwire/chain` is one. */
export interface SyncBlock {
  hash: Uint8Array
  height: number
  /** Of this block and all before it. */
  work: bigint
  header: { parent: Uint8Array; root: Uint8Array }
  /** Of the header, where they are at hand: a body that begins with them needs no hashing. */
  bytes?: Uint8Array | undefined
}

/** What a chain must have: total work, and blocks. */
export interface SyncMinimum {
  work: bigint
  height: number
}

/** Checks headers one after another without keeping them. `HeaderWalk` of `blockwire/chain` is one. */
export interface SyncWalk {
  /** The last one that was accepted; before the first, the block that it begins behind. */
  readonly last: Pick<SyncBlock, 'hash' | 'height' | 'work'> & { header: { time: number } }
  add(header: Uint8Array): Verdict
}

/** What `sync` needs of a chain. `Chain` of `blockwire/chain` is one; an app may bring its own. */
export interface SyncChain {
  /** Part of the protocol's ID. */
  readonly id: string
  readonly limits: { blockBytes: number; txBytes: number; headerBytes: number; futureMs: number }
  readonly rules: { hash?: (bytes: Uint8Array) => Uint8Array; tie?: 'first-seen' | 'lowest-hash' }
  /** Blocks are kept. `false` goes with the role `light`: `addHeaders` moves the head. @default true */
  readonly bodies?: boolean
  readonly head: SyncBlock
  /** Below it the node is never `live`. @default nothing */
  readonly minimum?: SyncMinimum
  /** Below it no header of a chain is kept. @default nothing: then low-work headers cost memory */
  readonly threshold?: SyncMinimum
  /** Begins behind the parent of `header`; undefined where that is not here. Wanted where there is a threshold. */
  walk?(header: Uint8Array): SyncWalk | undefined
  /** Most work that is neither invalid nor parked; bodies may be missing. */
  readonly target: SyncBlock
  /** A heavier branch that is not followed because it forks off too deep: `stalled` while a peer follows it. */
  readonly split?: Split | undefined
  /** The node is live. Called again and again. */
  settled?(): void | Promise<void>
  /** It adds blocks, or some wait for it: serving others then leaves it half of the event loop. @default false */
  readonly busy?: boolean
  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined
  locate(hash: Uint8Array): SyncBlock | undefined
  /** Of the head chain. */
  hashAt(height: number): Uint8Array | undefined
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
  /** Blocks of the head chain that an index names for a transaction; none, or missing, where there is no index. */
  findTx?(id: Uint8Array): Promise<SyncBlock[]>
  /** For `light`: decodes a transaction, and checks what needs no state. */
  checkTx?(bytes: Uint8Array): { verdict: Verdict; tx?: unknown }
  /** There is an index of transactions: `findTx` answers for every one of the head chain. */
  readonly txIndex?: boolean
  /** Pages of the head chain, ascending, both ends included. */
  blocks(from: number, to: number): AsyncIterable<Uint8Array[]>
  headers(from: number, to: number): AsyncIterable<Uint8Array[]>
  /** Headers of a side branch, from the first one off the head chain up to `hash`. */
  branch(hash: Uint8Array): Uint8Array[] | undefined | Promise<Uint8Array[] | undefined>
  /** Newest first: 10 dense, then doubling steps, genesis last. @default from the target */
  locator(from?: SyncBlock): Uint8Array[]
  /** Blocks without a body on the way from the head's chain to the target, ascending. */
  missing(limit: number): SyncBlock[]
  /** The same behind one of a former answer; undefined when that is not on the way any more. Saves looking at all of them again. */
  missingAfter?(block: SyncBlock, limit: number): SyncBlock[] | undefined
  /** Nobody delivers this body: its branch no longer counts for the target. */
  park(hash: Uint8Array): void
  addHeaders(headers: Uint8Array[]): Promise<{ verdict: Verdict; added: number; last?: SyncBlock }>
  addBlocks(
    blocks: Uint8Array[],
    options?: { signal?: AbortSignal }
  ): Promise<{ verdict: Verdict; added: number; index?: number }>
  addEventListener(type: 'head' | 'target', listener: () => void): void
  removeEventListener(type: 'head' | 'target', listener: () => void): void
}
