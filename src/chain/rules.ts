import type { Check } from './verdict.js'

/** Bytes to value and back. `decode` throws on anything that `encode` would not have written. See `struct()`. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
  /** `decode` is known to refuse all but the one encoding: nobody encodes again to see. @default false */
  readonly canonical?: boolean
}

/** A hash function of header bytes; 32 bytes. */
export interface HeaderHash {
  (bytes: Uint8Array): Uint8Array
  /** The same for many at once: headers come by the thousand, and may be hashed side by side. */
  many?(list: Uint8Array[]): Uint8Array[]
}

/** What every header has. A chain adds its own fields. */
export interface BaseHeader {
  /** Hash of the block before, 32 bytes. */
  parent: Uint8Array
  /** Merkle root of the transactions, 32 bytes. */
  root: Uint8Array
  /** Milliseconds since 1970, an integer. */
  time: number
  /** Where a header carries its height, the library checks it. */
  height?: number
}

/** A header in its place. */
export interface Located<Header> {
  hash: Uint8Array
  /** Genesis is 0. */
  height: number
  /** Of this block and all before it. */
  work: bigint
  header: Header
  /** The header's bytes, where the block's body is still to come. */
  bytes?: Uint8Array | undefined
}

/** The blocks before the one that is checked. */
export interface Ancestors<Header> {
  readonly parent: Located<Header>
  /**
   * The block `n` before the one that is checked: 1 is the parent. Undefined below genesis.
   * @throws RangeError when `n` is over `Rules.lookback`.
   */
  back(n: number): Located<Header> | undefined
  /**
   * Up to `n` blocks before the one that is checked, parent first, genesis last; a fraction is cut off.
   * @throws RangeError when `n` is over `Rules.lookback`.
   */
  last(n: number): Located<Header>[]
}

/** What a block's transactions can know about where they stand. */
export interface BlockContext<Header> {
  height: number
  parent: Located<Header>
  /** Absent while a block is being proposed: it has no header yet. */
  header?: Header
}

/** State as it can be read. Keys are 1 to 256 bytes. */
export interface ReadableState {
  /** The value, or a promise of it where it must be fetched: `await state.get(key)` is always right. */
  get(key: Uint8Array): Uint8Array | undefined | Promise<Uint8Array | undefined>
}

/** State as a block changes it. Reads see earlier writes of this block and of the blocks before it. */
export interface StateDb extends ReadableState {
  put(key: Uint8Array, value: Uint8Array): void
  del(key: Uint8Array): void
}

export interface StateRules<Header, Tx> {
  /** Of the meaning of what is stored. A store of a lower version has its state made anew, one of a higher is refused. @default 1 */
  version?: number
  /** Writes the state before block 1: genesis money. */
  genesis?(db: StateDb): void
  /** Runs before a block's transactions. */
  begin?(ctx: BlockContext<Header>, db: StateDb): Check | Promise<Check>
  /** Applies one transaction. When it answers anything but `true`, its writes are undone. */
  applyTx(tx: Tx, ctx: BlockContext<Header>, db: StateDb): Check | Promise<Check>
  /** Runs after a block's transactions. */
  end?(ctx: BlockContext<Header>, db: StateDb): Check | Promise<Check>
  /** May a transaction enter the pool? Sees the state at head plus what is pooled. @default applyTx on a scratch state */
  admit?(tx: Tx, db: ReadableState): Check | Promise<Check>
  /** Keys that `applyTx` will read, to be fetched beforehand in one go. */
  reads?(tx: Tx): Uint8Array[]
}

/**
 * What the pool may know of a transaction. None of it counts for whether a block is valid. A hook that throws leaves the transaction out of
 * the pool.
 */
export interface PoolRules<Tx> {
  /**
   * Whose it is, and its place among the sender's: of one sender and sequence one at most is pooled, and blocks take them in sequence.
   * Undefined: it has no sender. The sender is at most 256 bytes.
   */
  order?(tx: Tx): { sender: Uint8Array; sequence: bigint } | undefined
  /**
   * What it pays to whoever mines it, at least 0n. What pays more per byte is mined first and evicted last.
   * @default 0n: the first to come is the first to be mined
   */
  fee?(tx: Tx): bigint
  /**
   * What it uses up, e.g. the output that it spends, the name that it takes: of those that share one only one is pooled. At
   * most 256, together at most 1 KiB longer than the transaction.
   */
  conflicts?(tx: Tx): Uint8Array[]
}

export interface Limits {
  /** A block's bytes, header included. @default 1_048_576, at most 16 MiB */
  blockBytes?: number
  /** A transaction's bytes. @default 65_536 */
  txBytes?: number
  /** A header's bytes. @default 1_024 */
  headerBytes?: number
  /** How far ahead of our clock a block's time may be. @default 15_000 */
  futureMs?: number
}

/**
 * What an app brings: how headers and transactions are encoded, checked and linked, and what state they change. All functions
 * must be deterministic; those without a promise in their type must not wait.
 */
export interface Rules<Header extends BaseHeader, Tx> {
  /** `[a-z0-9-]{1,32}`. */
  network: string
  /** What makes two chains of one name differ, e.g. block time, reward. Part of the genesis hash; shown when two nodes disagree. At most 16, at most 1 KiB. */
  params?: Record<string, string | number>
  /** Parent (32 zero bytes) and root are filled in by the library. */
  genesis: { header: Omit<Header, 'parent' | 'root'>; txs?: Tx[] }
  header: Codec<Header>
  tx: Codec<Tx>
  /** @default sha256 */
  hash?: HeaderHash
  /** Work of this header alone. Fork choice is the most total work. @default 1n: the longest chain */
  work?(header: Header): bigint
  /** Needs nothing but headers, e.g. proof of work, a signer's turn. Time, height and parent are checked by the library. */
  checkHeader?(header: Header, hash: Uint8Array, ancestors: Ancestors<Header>): Check
  /** Needs no state, e.g. a signature. Whoever signs the genesis hash too makes a transaction that fits this chain alone. */
  checkTx?(tx: Tx, genesis: Uint8Array): Check
  state?: StateRules<Header, Tx>
  /** How pending transactions are ranked, ordered and replaced. @default by arrival, never */
  pool?: PoolRules<Tx>
  /** Ancestors that `checkHeader` may ask for. @default 16, at most 1_024 */
  lookback?: number
  /** At equal work. `first-seen`: the one first fully applied; a restart keeps its head. @default 'first-seen' */
  tie?: 'first-seen' | 'lowest-hash'
  limits?: Limits
  /**
   * Heights at which the rules changed, ascending: gives the fork id (EIP-2124). A store that has passed one that is new to it applies the
   * blocks from there up again.
   */
  forks?: number[]
  /**
   * Total work of a chain that is known to exist, e.g. that of the real one when the app was released. No header of a chain with less is
   * kept, no node that has less is `live`. Not part of the genesis hash. @default 0n
   */
  minimumWork?: bigint
  /**
   * Hashes of blocks that are known to be on the chain, by height, as 64 hex digits. Another block at such a height is refused, and so
   * is a fork from below one that the head chain has passed; until the head has passed the last one no header of a chain that does not
   * lead there is kept, and no node is `live`. At most 1,024. Not part of the genesis hash.
   */
  checkpoints?: Record<number, string>
}
