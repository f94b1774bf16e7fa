import type { BlockwireError } from '../errors.js'
import type { Located } from './rules.js'
import type { Split } from './split.js'

/** A block that joined the head chain. */
export interface BlockDetail<Header> {
  hash: Uint8Array
  height: number
  header: Header
  /** As it is stored and sent. Not to be changed. */
  bytes: Uint8Array
  /** Number of its transactions. */
  txs: number
}

/** The head moved to another branch. */
export interface ReorgDetail<Header> {
  from: Located<Header>
  to: Located<Header>
  /** Last block of both. */
  common: Located<Header>
  /** Blocks that left the head chain, ascending. */
  dropped: Located<Header>[]
  /** Blocks that joined it, ascending. */
  added: Located<Header>[]
}

/** The state is made anew from the stored blocks, because the rules changed or the store was damaged. */
export interface RebuildDetail {
  /** Up to where it is. */
  height: number
  /** Up to where it goes. */
  goal: number
  why: string
  done: boolean
}

/** When several belong to one change they come in this order: target, reorg, block, head. Head and state are the new ones already. */
export interface ChainEvents<Header = unknown> {
  /** Once per block that joins the head chain, in order. Never in a chain that keeps headers only. */
  block: CustomEvent<BlockDetail<Header>>
  /** The head moved: once per change, once per batch of a bulk import. */
  head: CustomEvent<Located<Header>>
  /** Before `block` and `head` of the same change. */
  reorg: CustomEvent<ReorgDetail<Header>>
  /** The header with the most work that is not known to be invalid is another one; its bodies may be missing. */
  target: CustomEvent<Located<Header>>
  /** Twice a second while `open` makes the state anew, and once when that is done. */
  rebuild: CustomEvent<RebuildDetail>
  /** A heavier branch forks off too deep and is not followed: once per branch, before the error that says so. */
  split: CustomEvent<Split>
  /** ReorgTooDeepError, StoreWriteError, StoreReadError, RuleError. The chain goes on. */
  error: CustomEvent<BlockwireError>
}
