import type { Clock } from '../clock.js'
import type { RebuildDetail } from './events.js'
import type { FreezerFiles } from './freezer.js'
import type { BaseHeader, Rules } from './rules.js'
import type { Database } from './store.js'

export interface FreezeOptions {
  /** A batch of at least so many blocks, or of several with 1 MiB together, goes straight into the files. @default 64 */
  bulk?: number
  /** Blocks of the head chain that came one by one and lie in the database before the oldest of them go into the files. @default 1_024 */
  hot?: number
}

export interface ChainInit<Header extends BaseHeader, Tx> {
  rules: Rules<Header, Tx>
  /**
   * Where to keep the chain; opened and closed by who made it, encodings `view`. The keys of docs/store.md are the chain's.
   * @default in memory, closed with the chain
   */
  db?: Database
  /**
   * Files for the old blocks of the head chain, which are read and written there several times as fast as in a database; opened and closed by
   * who made them. A chain that was written with files needs them.
   * @default all in `db`
   */
  files?: FreezerFiles
  /** When blocks go into the files. */
  freeze?: FreezeOptions
  /** How many blocks may be taken back. 1 to 1,000,000. @default 10_000 */
  maxReorg?: number
  /** Headers kept that are not on the head chain; the lightest branches go first. @default 250_000 */
  maxSide?: number
  /**
   * `false`: keeps headers only, as light nodes do. The head is then the header with the most work, whether or not its block is valid;
   * there are no bodies, no state, no `block` events. @default true
   */
  bodies?: boolean
  /** Remembers which block holds a transaction, for `findTx`: 39 bytes of store each. @default false */
  txIndex?: boolean
  /**
   * A reorganisation that would hold more than so many bytes in memory is written in steps; each leaves a consistent head.
   * @default 32 MiB
   */
  stepBytes?: number
  clock?: Clock
  /** Hears of the event `rebuild`, from the first one on: `createNode` opens the chain before anybody can listen. Must not throw. */
  onRebuild?: (progress: RebuildDetail) => void
}
