import type { Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { HeadersOnlyError } from '../errors.js'
import { equalBytes } from '../hex.js'
import { ancestorsOf } from './ancestors.js'
import { txId, txIds } from './block.js'
import type { ChainInit } from './chain-init.js'
import { Core } from './core.js'
import { checkDatabase, memory } from './database.js'
import type { Status } from './entry.js'
import type { ChainEvents } from './events.js'
import { freezeSome } from './freezing.js'
import { Waiting } from './future.js'
import { settle } from './genesis.js'
import { catchUp } from './header-head.js'
import { addHeaders, type HeadersResult } from './headers.js'
import { type AddOptions, Importer, type ImportResult } from './import.js'
import { WaitingLine } from './line.js'
import { openStore } from './opening.js'
import { prepareBlock } from './preparing.js'
import { makeScratch, type Proposed, type ProposeOptions, propose, type Scratch } from './propose.js'
import { blocksOf, bodyOf, branchTo, hashAt, headersOf, locatorFrom, readState, statusAt } from './reading.js'
import { CLOSED, guarded, reorganise } from './reorg.js'
import type { OpenReport } from './repair.js'
import type { Ancestors, BaseHeader, Limits, Located, ReadableState, Rules } from './rules.js'
import { acceptSplit, type Split, settleLive, splitOf } from './split.js'
import { type Checked, checkBlock, checkHeader } from './standing.js'
import { Store } from './store.js'
import { type Minimum, minimumOf, thresholdOf } from './threshold.js'
import type { CheckedTx } from './tx-checks.js'
import { indexedAt } from './tx-index.js'
import type { Verdict } from './verdict.js'
import { waitFor } from './wait.js'
import { type HeaderWalk, walkFrom } from './walk.js'

/**
 * A node's copy of the ledger: the one owner of headers, blocks, head and state. `check` says what can be known without state,
 * `add` checks, orders, applies and stores. Whatever comes from outside gets a verdict; nothing of it throws.
 * Changes are made one at a time, in the order of the calls, head and state in one atomic batch: a crash leaves both as they were before or
 * after it. What an event listener throws reaches the process as with any EventTarget, but not the chain.
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
  /** State at head. Bytes that it answers are not to be changed. Throws HeadersOnlyError where there is none. */
  readonly state: ReadableState
  /** Blocks are kept. `false` in a light node: headers only, and the head is the header with the most work. */
  readonly bodies: boolean
  /** `findTx` knows which block holds a transaction. */
  readonly txIndex: boolean
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
    const terms = settle(init.rules)
    this.rules = init.rules
    this.network = terms.network
    this.params = terms.params
    this.id = terms.id
    this.genesis = terms.genesis.at
    this.forks = terms.forks
    this.limits = terms.limits
    this.#ownDb = init.db == null
    this.#core = new Core({
      ...init,
      terms,
      store: new Store(init.db == null ? memory() : checkDatabase(init.db), init.files),
      emit: (type, detail) => void this.safeDispatchEvent(type, { detail } as object),
      listens: (type) => this.listenerCount(type) > 0
    })
    this.#waiting = new Waiting(this.#core.clock, terms.limits.futureMs, (bytes) => void this.add(bytes))
    this.#importer = new Importer(this.#core, this.#waiting)
    this.bodies = this.#core.bodies
    this.txIndex = this.#core.txIndex != null
    this.state = {
      get: (key) => {
        this.#needBodies('chain.state')
        return readState(this.#core, key)
      }
    }
  }

  /** The block with the most work among those applied with all before them. */
  get head(): Located<Header> {
    return this.#core.tree.head.at
  }

  /** The header with the most work that is not known to be invalid, nor parked, nor forks off too deep. Bodies up to it may be missing. */
  get target(): Located<Header> {
    return this.#core.tree.target.at
  }

  /** A heavier branch that is not followed because it forks off too deep, if one is known. */
  get split(): Split | undefined {
    return splitOf(this.#core)
  }

  /** Blocks are being added, or wait for it. */
  get busy(): boolean {
    return this.#line.length > 0
  }

  /** What the rules demand of any chain: `minimumWork`, and the height of the last checkpoint. Below it no node is `live`. */
  get minimum(): Minimum {
    return minimumOf(this.#core)
  }

  /**
   * What a chain of headers must have before it is worth keeping: `minimum` (its height only until the head has passed it), and at most
   * 144 blocks' work less than the head. `check` ignores a block below it; `addHeaders` and `add` do as they are told.
   */
  get threshold(): Minimum {
    return thresholdOf(this.#core)
  }

  /** What `open` found and repaired. */
  get report(): OpenReport {
    return this.#report
  }

  /**
   * Opens the store, checks it and cuts back what is damaged: see `report`. Calling it again does nothing.
   * @throws DataForeignError, DataRoleError, DataVersionError, DataUnusableError.
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
    this.#core.closing = false
    await this.#core.store.open()
    const { report, target } = await openStore(this.#core)
    this.#report = report
    this.#open = true
    // a crash may have come between a branch's last body and the move to it, or among the steps of the move
    await reorganise(this.#core, false, target)
    await catchUp(this.#core)
  }

  /** Waits for what is being done, then lets go of the store. Calls from now on are ignored. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#opening == null) return
    this.#opening = undefined
    this.#core.closing = true
    await this.#line.run(async () => {
      if (this.#open && (this.#core.pending > 0 || this.#core.store.freezer?.dirty)) await this.#writeHeaders(true)
      this.#open = false
      this.#waiting.clear()
      if (this.#ownDb) await this.#core.store.db.close()
    })
  }

  /** Opened before any service starts, closed after every one has stopped. */
  beforeStart(): Promise<void> {
    return this.open()
  }

  start(): void {}
  stop(): void {}

  afterStop(): Promise<void> {
    return this.close()
  }

  /** What a sender can know: size, encoding, time, height, `checkHeader`, Merkle root, `checkTx`. Needs no state, changes nothing. */
  check(bytes: Uint8Array): Checked<Header> {
    return checkBlock(this.#core, bytes)
  }

  /** The same of a block whose body is still to come: all but the Merkle root and the transactions. The bytes are not to be changed. */
  checkHeader(bytes: Uint8Array): Checked<Header> {
    return checkHeader(this.#core, bytes)
  }

  /**
   * Checks, orders, applies and stores a block. `accept`: stored and not known invalid, perhaps on a side branch. A block from the
   * future is parked (64 blocks, 16 MiB, an hour at most) and added by itself when due. `bytes` are not to be changed afterwards.
   * @throws HeadersOnlyError in a chain that keeps none
   */
  async add(bytes: Uint8Array, options: AddOptions = {}): Promise<Verdict> {
    this.#needBodies('chain.add')
    return this.#change(
      () => this.#importer.add(bytes, options.own ?? false),
      (verdict) => verdict,
      options.signal
    )
  }

  /**
   * Adds headers, parents first, in one batch, which moves the head too where headers are all that is kept. Stops at the first that is not
   * accepted.
   */
  addHeaders(headers: Uint8Array[]): Promise<HeadersResult<Header>> {
    return this.#change(
      () => addHeaders(this.#core, headers, this.#line.waiting > 0),
      (verdict) => ({ verdict, added: 0 })
    )
  }

  /**
   * Checks headers one after another without keeping them, beginning behind the parent of `header`, which is to be given to `add` first.
   * Undefined when it cannot be read, or its parent is not here or is invalid.
   */
  walk(header: Uint8Array): HeaderWalk<Header> | undefined {
    return walkFrom(this.#core, header)
  }

  /**
   * Adds blocks, parents first, in atomic batches of 512 blocks or about 4 MiB with one `head` each; one is written while the next is
   * checked. When block k fails, those before it are stored. Blocks that are here already are passed over.
   * @throws HeadersOnlyError in a chain that keeps none
   */
  async addBlocks(blocks: Uint8Array[], options: AddOptions = {}): Promise<ImportResult> {
    this.#needBodies('chain.addBlocks')
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
   * `checkTx` for many, of which `ids` are the IDs: a promise only where the rules' `checkTxs` takes time. Those that pass are remembered
   * (the last 32,768), and need no check again when they come in a block. `trusted`: the caller has made them, or checked them itself; then
   * only their encoding is looked at.
   */
  checkTxs(
    list: Uint8Array[],
    ids: Uint8Array[] = txIds(list),
    { trusted = false }: { trusted?: boolean } = {}
  ): CheckedTx<Tx>[] | Promise<CheckedTx<Tx>[]> {
    return this.#core.inspector.txs.many(list, ids, { remember: true, trusted })
  }

  /**
   * Checks a block's transactions on all cores, if its header is good; `check` and `add` then find it done.
   * Undefined when there is nothing to wait for: where the rules have no `checkTxs`, and where all was checked before.
   */
  prepare(bytes: Uint8Array): Promise<unknown> | undefined {
    return prepareBlock(this.#core, bytes)
  }

  /**
   * Whether a block is here: its header only, its body too, `valid` on the head chain (of headers, where that is all that is kept), or
   * known invalid. Far below head only the head chain is known, and nothing where the database cannot read synchronously.
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

  /** A block's bytes, on the head chain or off it. Undefined where headers are all that is kept. */
  block(hash: Uint8Array): Promise<Uint8Array | undefined> {
    return bodyOf(this.#core, hash)
  }

  /** Blocks of the head chain, heights `from` to `to`, both included, ascending, in pages of up to 1,000. */
  blocks(from: number, to: number): AsyncIterable<Uint8Array[]> {
    return blocksOf(this.#core, from, to)
  }

  /**
   * Blocks of the head chain that hold a transaction, ascending, the first 8; none without `txIndex`. Look into the block before you rely on
   * it: of a block that was found damaged the entries may be left.
   */
  findTx(id: Uint8Array): Promise<Located<Header>[]> {
    return indexedAt(this.#core, id, (height) => this.hashAt(height))
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

  /** Blocks between the head chain and the target whose bodies are not here, ascending. The same object each time for the same block. */
  missing(limit: number): Located<Header>[] {
    if (!this.bodies) return []
    return this.#core.tree.missing(limit).map(({ at }) => at)
  }

  /** The same behind one of a former answer; undefined when that does not lie between them any more. */
  missingAfter({ hash, height }: { hash: Uint8Array; height: number }, limit: number): Located<Header>[] | undefined {
    const { tree } = this.#core
    const here = tree.pathAt(height)
    if (here == null || !equalBytes(here.at.hash, hash)) return undefined
    return tree.missing(limit, height + 1).map(({ at }) => at)
  }

  /** Nobody delivers this body: its branch does not count for the target until a body of it, a new header on it, or `unpark`. */
  park(hash: Uint8Array): void {
    if (this.bodies) this.#core.park(hash)
  }

  /** Somebody says that they have this block: its branch counts again. */
  unpark(hash: Uint8Array): void {
    if (this.bodies) this.#core.unpark(hash)
  }

  /**
   * Has a branch followed although it forks off too deep, see `split`: the choice is on disk when this resolves. The head stays until all
   * bodies are here; then the state up to the fork is made anew. @throws ConfigError saying why that cannot be.
   */
  acceptSplit(hash: Uint8Array): Promise<void> {
    return this.#line.run(() => acceptSplit(this.#core, hash))
  }

  /** The node is live: from now on, restarts included, nothing is taken back deeper than `maxReorg`. `sync` calls it. */
  settled(): Promise<void> {
    return this.#line.run(() => (this.#open ? settleLive(this.#core) : undefined))
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
   * @throws RefusedError when our own rules refuse the block; whatever `prefix` or `seal` throw; HeadersOnlyError.
   */
  async propose(options: ProposeOptions<Header, Tx>): Promise<Proposed<Header> | undefined> {
    this.#needBodies('chain.propose')
    if (options.signal?.aborted) return undefined
    await this.open()
    const add = (bytes: Uint8Array) =>
      guarded(
        this.#core,
        () => this.#importer.add(bytes, true),
        (verdict) => verdict
      )
    return propose(this.#core, this.#line, this, add, options)
  }

  /** For the pool: a state at head on which transactions can be tried. @throws HeadersOnlyError */
  async scratch(): Promise<Scratch<Tx>> {
    this.#needBodies('chain.scratch')
    await this.open()
    return this.#line.run(() => makeScratch(this.#core))
  }

  #writeHeaders(sync = false): Promise<boolean> {
    return this.#core.commit(this.#core.store.write(), 'headers', sync)
  }

  #needBodies(what: string): void {
    if (!this.bodies) throw new HeadersOnlyError(what)
  }

  /** One change at a time. What goes wrong in here is our problem: a verdict for the caller, an event for the operator. */
  #change<R>(task: () => Promise<R>, failed: (verdict: Verdict) => R, signal?: AbortSignal): Promise<R> {
    const run = async (): Promise<R> => {
      const result = await task()
      if (this.#line.waiting > 0) return result
      const { pending, bulk } = this.#core
      if (pending > 0 && pending < bulk) await this.#writeHeaders()
      else await freezeSome(this.#core)
      return result
    }
    return this.#line.run(() => (this.#open ? guarded(this.#core, run, failed, signal) : failed(CLOSED)), signal)
  }
}
