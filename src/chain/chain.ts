import type { Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { MemoryLevel } from 'memory-level'
import { type Clock, systemClock } from '../clock.js'
import { BlockwireError, ConfigError, StoreReadError } from '../errors.js'
import { txId } from './block.js'
import { Core } from './core.js'
import type { ChainEvents } from './events.js'
import { Waiting } from './future.js'
import { integer, settle, type Terms } from './genesis.js'
import { type AddOptions, type HeadersResult, Importer, type ImportResult, isFuture } from './import.js'
import { WaitingLine } from './line.js'
import { openStore } from './opening.js'
import { build, makeScratch, type Proposed, type ProposeOptions, refuse, type Scratch } from './propose.js'
import { blocksOf, bodyOf, branchTo, hashAt, headersOf, locatorFrom, statusAt } from './reading.js'
import { reorganise } from './reorg.js'
import type { OpenReport } from './repair.js'
import type { BaseHeader, Limits, Located, ReadableState, Rules } from './rules.js'
import { bytesKey, type Database, Store, TABLE } from './store.js'
import type { Status } from './tree.js'
import { ignore, type Verdict } from './verdict.js'

export interface ChainInit<Header extends BaseHeader, Tx> {
  rules: Rules<Header, Tx>
  /**
   * Where to keep the chain; opened and closed by who made it, encodings `view`. The keys of docs/store.md are the chain's.
   * @default in memory, closed with the chain
   */
  db?: Database
  /** How many blocks may be taken back. 1 to 1,000,000. @default 10_000 */
  maxReorg?: number
  /** Headers kept that are not on the head chain; the lightest branches go first. @default 250_000 */
  maxSide?: number
  clock?: Clock
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
  /** State at head. Bytes that it answers are not to be changed. */
  readonly state: ReadableState
  readonly #terms: Terms<Header, Tx>
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
    this.#terms = settle(init.rules)
    const maxReorg = integer('maxReorg', init.maxReorg ?? 10_000, 1, 1_000_000)
    const maxSide = integer('maxSide', init.maxSide ?? 250_000, 1, 10_000_000)
    this.#ownDb = init.db == null
    const store = new Store(checkDatabase(init.db) ?? memory())
    this.#core = new Core({
      terms: this.#terms,
      store,
      clock,
      maxReorg,
      maxSide,
      emit: (type, detail) => void this.safeDispatchEvent(type, { detail } as object),
      listens: (type) => this.listenerCount(type) > 0
    })
    this.#waiting = new Waiting(clock, this.#terms.limits.futureMs, (bytes) => void this.add(bytes))
    this.#importer = new Importer(this.#core, this.#waiting)
    this.state = { get: (key) => store.read(bytesKey(TABLE.state, key)) }
  }

  get rules(): Rules<Header, Tx> {
    return this.#terms.rules
  }

  get network(): string {
    return this.#terms.network
  }

  get params(): Record<string, string | number> {
    return this.#terms.params
  }

  /** `<network>-<first 8 hex of the genesis hash>`: what protocols and topics are named by. */
  get id(): string {
    return this.#terms.id
  }

  get genesis(): Located<Header> {
    return this.#terms.genesis.at
  }

  get forks(): number[] {
    return this.#terms.forks
  }

  get limits(): Required<Limits> {
    return this.#terms.limits
  }

  /** The block with the most work among those applied with all before them. */
  get head(): Located<Header> {
    return this.#core.tree.head.at
  }

  /** The header with the most work that is not known to be invalid, nor parked, nor forks off too deep. Bodies up to it may be missing. */
  get target(): Located<Header> {
    return this.#core.tree.target.at
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
    const { inspector } = this.#core
    const piece = inspector.open(bytes)
    if (!('hash' in piece)) return { verdict: piece }
    const { verdict, place, deep } = this.#importer.assess(piece)
    const checked: Checked<Header> = { verdict, hash: piece.hash, header: piece.header, txs: piece.raw }
    if (place == null) return checked
    checked.height = place.height
    if (verdict.result !== 'accept' && !isFuture(verdict)) return checked
    if (deep) checked.verdict = ignore('too-deep')
    else {
      const body = inspector.body(piece)
      if (body.verdict.result !== 'accept') checked.verdict = body.verdict
    }
    return checked
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
      () => this.#importer.addHeaders(headers),
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
    const entry = this.#core.tree.get(hash)
    if (entry == null) return
    this.#core.tree.park(entry)
    this.#core.announceTarget()
  }

  /** Somebody says that they have this block: its branch counts again. */
  unpark(hash: Uint8Array): void {
    const entry = this.#core.tree.get(hash)
    if (entry == null) return
    this.#core.tree.revive(entry)
    this.#core.announceTarget()
  }

  /** Resolves with the head as soon as it is at or above a height. Rejects with the signal's reason. */
  waitFor(height: number, { signal }: { signal?: AbortSignal } = {}): Promise<Located<Header>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.head.height >= height) return resolve(this.head)
      const done = (): void => {
        this.removeEventListener('head', onHead)
        signal?.removeEventListener('abort', onAbort)
      }
      const onHead = (): void => {
        if (this.head.height < height) return
        done()
        resolve(this.head)
      }
      const onAbort = (): void => {
        done()
        reject(signal?.reason)
      }
      this.addEventListener('head', onHead)
      signal?.addEventListener('abort', onAbort)
    })
  }

  /**
   * Builds a block on head, has it sealed, and adds it as our own, synced to disk. Undefined when `seal` gave up, the signal aborted, or
   * the head moved meanwhile.
   * @throws RefusedError when our own rules refuse the block; whatever `prefix` or `seal` throw.
   */
  async propose(options: ProposeOptions<Header, Tx>): Promise<Proposed<Header> | undefined> {
    if (options.signal?.aborted) return undefined
    await this.open()
    const { draft, assemble } = await this.#line.run(() => build(this.#core, options))
    const giveUp = new AbortController()
    const abort = (): void => giveUp.abort()
    const moved = (): boolean => this.head !== draft.parent
    this.addEventListener('head', abort)
    options.signal?.addEventListener('abort', abort)
    if (moved() || options.signal?.aborted) abort()
    try {
      const sealed = giveUp.signal.aborted ? undefined : await options.seal(draft, { signal: giveUp.signal })
      if (sealed == null || giveUp.signal.aborted) return undefined
      const { bytes, txs } = assemble(sealed)
      const own = this.#core.inspector.open(bytes)
      if (!('hash' in own)) refuse(own)
      const verdict = await this.#line.run(() => (moved() ? undefined : this.#importer.add(bytes, true)))
      if (verdict == null) return undefined
      refuse(verdict)
      const at = 'hash' in own ? this.locate(own.hash) : undefined
      return at == null ? undefined : { ...at, bytes, txs }
    } catch (err) {
      if (giveUp.signal.aborted && !(err instanceof BlockwireError)) return undefined
      throw err
    } finally {
      this.removeEventListener('head', abort)
      options.signal?.removeEventListener('abort', abort)
    }
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

function memory(): Database {
  return new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
}

function checkDatabase(db: Database | undefined): Database | undefined {
  if (db == null) return undefined
  for (const encoding of [db.keyEncoding(), db.valueEncoding()]) {
    if (encoding.commonName !== 'view' && encoding.commonName !== 'buffer')
      throw new ConfigError(
        'db',
        `has encoding ${encoding.commonName}: open it with keyEncoding and valueEncoding 'view'`
      )
  }
  return db
}
