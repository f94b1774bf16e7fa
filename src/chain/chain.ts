import type { Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { systemClock } from '../clock.js'
import { BlockwireError, StoreReadError } from '../errors.js'
import { ancestorsOf } from './ancestors.js'
import { txId } from './block.js'
import type { ChainInit } from './chain-init.js'
import { Core } from './core.js'
import { checkDatabase, memory } from './database.js'
import type { Status } from './entry.js'
import type { ChainEvents } from './events.js'
import { Waiting } from './future.js'
import { integer, settle } from './genesis.js'
import { addHeaders, type HeadersResult } from './headers.js'
import { type AddOptions, Importer, type ImportResult } from './import.js'
import { WaitingLine } from './line.js'
import { openStore } from './opening.js'
import { makeScratch, type Proposed, type ProposeOptions, propose, type Scratch } from './propose.js'
import { blocksOf, bodyOf, branchTo, hashAt, headersOf, locatorFrom, statusAt } from './reading.js'
import { reorganise } from './reorg.js'
import type { OpenReport } from './repair.js'
import type { Ancestors, BaseHeader, Limits, Located, ReadableState, Rules } from './rules.js'
import { type Checked, checkBlock } from './standing.js'
import { bytesKey, Store, TABLE } from './store.js'
import { ignore, type Verdict } from './verdict.js'
import { waitFor } from './wait.js'

/**
 * A node's copy of the ledger: the one owner of headers, blocks, head and state. `check` says what can be known without state,
 * `add` checks, orders, applies and stores. Whatever comes from outside gets a verdict; nothing of it throws.
 *
 * Changes are made one at a time, in the order of the calls. Head and state are written in one atomic batch, so that a crash leaves
 * both as they were before or after it. What an event listener throws reaches the process as with any EventTarget, but not the chain.
 */
export class Chain<Header extends BaseHeader = BaseHeader, Tx = unknown>
  extends TypedEventEmitter<ChainEvents<Header>>
  implements Startable
{
  readonly [Symbol.toStringTag] = '@blockwire/chain'
  readonly rules: Rules<Header, Tx>
  readonly network: string
  readonly params: Record<string, string | number>
  /** `<network>-<first 8 hex of the genesis hash>`: what protocols and topics are named by. */
  readonly id: string
  readonly genesis: Located<Header>
  readonly forks: number[]
  readonly limits: Required<Limits>
  /** State at head. Bytes that it answers are not to be changed. */
  readonly state: ReadableState
  readonly #core: Core<Header, Tx>
  readonly #importer: Importer<Header, Tx>
  readonly #waiting: Waiting
  readonly #line = new WaitingLine()
  readonly #ownDb: boolean
  #report: OpenReport = { height: 0, created: false, repaired: [] }
  #opening: Promise<void> | undefined
  #open = false

  /** @throws ConfigError naming the option that cannot work. */
  constructor(init: ChainInit<Header, Tx>) {
    super()
    const clock = init.clock ?? systemClock
    const terms = settle(init.rules)
    this.rules = init.rules
    this.network = terms.network
    this.params = terms.params
    this.id = terms.id
    this.genesis = terms.genesis.at
    this.forks = terms.forks
    this.limits = terms.limits
    const maxReorg = integer('maxReorg', init.maxReorg ?? 10_000, 1, 1_000_000)
    const maxSide = integer('maxSide', init.maxSide ?? 250_000, 1, 10_000_000)
    this.#ownDb = init.db == null
    const store = new Store(init.db == null ? memory() : checkDatabase(init.db))
    this.#core = new Core({
      terms,
      store,
      clock,
      maxReorg,
      maxSide,
      emit: (type, detail) => void this.safeDispatchEvent(type, { detail } as object),
      listens: (type) => this.listenerCount(type) > 0
    })
    this.#waiting = new Waiting(clock, terms.limits.futureMs, (bytes) => void this.add(bytes))
    this.#importer = new Importer(this.#core, this.#waiting)
    this.state = { get: (key) => store.read(bytesKey(TABLE.state, key)) }
  }

  /** The block with the most work among those applied with all before them. */
  get head(): Located<Header> {
    return this.#core.tree.head.at
  }

  /** The header with the most work that is not known to be invalid, nor parked, nor forks off too deep. Bodies up to it may be missing. */
  get target(): Located<Header> {
    return this.#core.tree.target.at
  }

  /** Blocks are being added, or wait for it. */
  get busy(): boolean {
    return this.#line.length > 0
  }

  /** What `open` found and repaired. */
  get report(): OpenReport {
    return this.#report
  }

  /**
   * Opens the store, checks it and cuts back what is damaged: see `report`. Calling it again does nothing.
   * @throws DataForeignError, DataVersionError, DataUnusableError.
   */
  open(): Promise<void> {
    this.#opening ??= this.#line
      .run(() => this.#openNow())
      .catch((err: unknown) => {
        this.#opening = undefined
        throw err
      })
    return this.#opening
  }

  async #openNow(): Promise<void> {
    await this.#core.store.db.open()
    this.#report = await openStore(this.#core)
    this.#open = true
    // a crash may have come between a branch's last body and the move to it
    await reorganise(this.#core, false)
  }

  /** Waits for what is being done, then lets go of the store. Calls from now on are ignored. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#opening == null) return
    this.#opening = undefined
    this.#waiting.clear()
    await this.#line.run(async () => {
      this.#open = false
      this.#waiting.clear()
      if (this.#ownDb) await this.#core.store.db.close()
    })
  }

  /** Opened before any service starts. */
  beforeStart(): Promise<void> {
    return this.open()
  }

  start(): void {}

  stop(): void {}

  /** Closed after every service has stopped. */
  afterStop(): Promise<void> {
    return this.close()
  }

  /** What a sender can know: size, encoding, time, height, `checkHeader`, Merkle root, `checkTx`. Needs no state, changes nothing. */
  check(bytes: Uint8Array): Checked<Header> {
    return checkBlock(this.#core, bytes)
  }

  /**
   * Checks, orders, applies and stores a block. `accept`: stored and not known invalid, perhaps on a side branch. A block from the
   * future is parked (64 blocks, 16 MiB, an hour at most) and added by itself when due. `bytes` are not to be changed afterwards.
   */
  add(bytes: Uint8Array, options: AddOptions = {}): Promise<Verdict> {
    return this.#change(
      () => this.#importer.add(bytes, options.own ?? false),
      (verdict) => verdict,
      options.signal
    )
  }

  /** Adds headers, parents first, in one batch. Stops at the first that is not accepted. */
  addHeaders(headers: Uint8Array[]): Promise<HeadersResult<Header>> {
    return this.#change(
      () => addHeaders(this.#core, headers),
      (verdict) => ({ verdict, added: 0 })
    )
  }

  /**
   * Adds blocks, parents first, in atomic batches of about 8 MiB with one `head` each. When block k fails, those before it are stored.
   * Blocks that are here already are passed over.
   */
  addBlocks(blocks: Uint8Array[], options: AddOptions = {}): Promise<ImportResult> {
    return this.#change(
      () => this.#importer.addBlocks(blocks, options),
      (verdict) => ({ verdict, added: 0, index: 0 }),
      options.signal
    )
  }

  /** Size, encoding and `checkTx` of a transaction, and its ID. */
  checkTx(bytes: Uint8Array): { verdict: Verdict; id: Uint8Array; tx?: Tx } {
    return { ...this.#core.inspector.tx(bytes), id: txId(bytes) }
  }

  /**
   * Whether a block is here: its header only, its body too, `valid` on the head chain, or known invalid. Far below head only the head
   * chain is known, and nothing where the database cannot read synchronously.
   */
  has(hash: Uint8Array): Status | undefined {
    return statusAt(this.#core, hash)
  }

  /** A header by hash, as far as `has` reaches. */
  locate(hash: Uint8Array): Located<Header> | undefined {
    return this.#core.entry(hash)?.at
  }

  /** Hash of the head chain's block at a height. */
  hashAt(height: number): Uint8Array | undefined {
    return hashAt(this.#core, height)
  }

  /** A block's bytes, on the head chain or off it. */
  block(hash: Uint8Array): Promise<Uint8Array | undefined> {
    return bodyOf(this.#core, hash)
  }

  /** Blocks of the head chain, heights `from` to `to`, both included, ascending, in pages of up to 1,000. */
  blocks(from: number, to: number): AsyncIterable<Uint8Array[]> {
    return blocksOf(this.#core, from, to)
  }

  /** Header bytes of the head chain, as `blocks`. */
  headers(from: number, to: number): AsyncIterable<Uint8Array[]> {
    return headersOf(this.#core, from, to)
  }

  /** Header bytes of a side branch, from the first after the head chain up to `hash`. Undefined when it is none, or over 2,000 long. */
  branch(hash: Uint8Array): Uint8Array[] | undefined {
    return branchTo(this.#core, hash)
  }

  /** Hashes that tell another node where we stand: newest first, ten one after another, then at distances that double, genesis last. */
  locator(from: Located<Header> = this.target): Uint8Array[] {
    return locatorFrom(this.#core, from)
  }

  /** Blocks between the head chain and the target whose bodies are not here, ascending. */
  missing(limit: number): Located<Header>[] {
    return this.#core.tree.missing(limit).map(({ at }) => at)
  }

  /** Nobody delivers this body: its branch does not count for the target until a body of it, a new header on it, or `unpark`. */
  park(hash: Uint8Array): void {
    this.#core.park(hash)
  }

  /** Somebody says that they have this block: its branch counts again. */
  unpark(hash: Uint8Array): void {
    this.#core.unpark(hash)
  }

  /** The blocks before the one that would come next on head. */
  get ancestors(): Ancestors<Header> {
    return ancestorsOf(this.#core.tree.head, this.#core.terms.lookback, (entry) => this.#core.before(entry))
  }

  /** Resolves with the head as soon as it is at or above a height. Rejects with the signal's reason. */
  waitFor(height: number, { signal }: { signal?: AbortSignal } = {}): Promise<Located<Header>> {
    return waitFor(this, height, signal)
  }

  /**
   * Builds a block on head, has it sealed, and adds it as our own, synced to disk. Undefined when `seal` gave up, the signal aborted, or
   * the head moved meanwhile.
   * @throws RefusedError when our own rules refuse the block; whatever `prefix` or `seal` throw.
   */
  async propose(options: ProposeOptions<Header, Tx>): Promise<Proposed<Header> | undefined> {
    if (options.signal?.aborted) return undefined
    await this.open()
    return propose(this.#core, this.#line, this, (bytes) => this.#importer.add(bytes, true), options)
  }

  /** For the pool: a state at head on which transactions can be tried. */
  async scratch(): Promise<Scratch<Tx>> {
    await this.open()
    return this.#line.run(() => makeScratch(this.#core))
  }

  /** One change at a time. What goes wrong in here is our problem: a verdict for the caller, an event for the operator. */
  #change<R>(task: () => Promise<R>, failed: (verdict: Verdict) => R, signal?: AbortSignal): Promise<R> {
    return this.#line.run(async () => {
      if (!this.#open) return failed(ignore('error', 'the chain is not open'))
      try {
        // a better branch whose writing failed is tried again with whatever comes next
        if (this.#core.tree.candidate() != null) await reorganise(this.#core, false)
        return await task()
      } catch (err) {
        if (signal?.aborted) throw err
        this.#core.error(err instanceof BlockwireError ? err : new StoreReadError('something', err))
        return failed(ignore('error', err instanceof Error ? err.message : String(err)))
      }
    }, signal)
  }
}
