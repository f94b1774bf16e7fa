import type { ComponentLogger, Libp2pEvents, Logger, PeerId, Startable, TypedEventTarget } from '@libp2p/interface'
import { AbortError, serviceCapabilities } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import { TypedEventEmitter } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import { ConfigError, ProofUnavailableError } from '../errors.js'
import { toHex } from '../hex.js'
import { Serving } from '../protocol/index.js'
import type { PeerStatus, Role } from '../status/index.js'
import { BlockFetch } from './block-fetch.js'
import { BranchFetch } from './branch-fetch.js'
import { Changes } from './changes.js'
import { Downloads } from './downloads.js'
import { HeaderIntake } from './header-intake.js'
import { type Light, LightClient } from './light.js'
import { Neighbours, type PeersPort, type StatusPort } from './neighbours.js'
import { Planner, type SyncState } from './planner.js'
import type { SyncChain } from './port.js'
import { isNews, ProgressMeter, type SyncProgress } from './progress.js'
import { report, type SyncReport } from './report.js'
import { hashHeader, Requester } from './requester.js'
import { answer } from './server.js'
import { TxServer } from './tx-server.js'
import { type SyncWatchOptions, Watch } from './watch.js'
import { syncProtocol } from './wire.js'
import { type SyncWarning, Witness } from './witness.js'

/** How often it looks again although nothing happened. */
const WATCHDOG_MS = 1_000
const PROGRESS_MS = 200
const STOP_MS = 1_000
/** Decisions in a row that follow from nothing but decisions: each gives up a branch. */
const MAX_ROUNDS = 100

export interface SyncInit {
  /**
   * `full` downloads and serves, `light` the same with headers only, `seed` neither. @default 'full'
   */
  role?: Role
  /** Lowest height whose block is served. @default 0 */
  lowest?(): number
  /** Answers take turns with those of all protocols that are given the same one. @default one of its own */
  serving?: Serving
  clock?: Clock
}

export interface SyncEvents {
  /** The state or its reason changed. */
  state: CustomEvent<SyncProgress>
  /** Something of it changed, or the state did; at most five a second beside those that a state comes with. */
  progress: CustomEvent<SyncProgress>
  /**
   * Of a light node: half of its full peers or more, who know the state, have not followed its head for a minute. Comes once, and again when
   * that was over in between; `explain().light` says who still does.
   */
  warning: CustomEvent<SyncWarning>
}

/**
 * Downloads and serves. The states: `idle` before start and as a seed · `no-peers` no connected peer serves blocks · `headers` a peer
 * claims more than we know · `bodies` blocks are missing · `live` nothing is missing and no credible claim is ahead of us ·
 * `stalled` it cannot go on, and `reason` says why. A claim holds up `live` for a minute at most unless it proves true. `stop` aborts
 * all requests and leaves nothing behind, within a second.
 *
 * In a light node there are no bodies: it is `live` when all headers are here, and knows of no block whether its state is valid.
 */
export interface Sync extends TypedEventTarget<SyncEvents> {
  readonly state: SyncState
  readonly reason: string | undefined
  readonly progress: SyncProgress
  /**
   * For `for await`: the present at once, then the newest progress after each `progress` event. Whoever is slow misses some, and nothing
   * queues. `until: 'live'` ends with the first that is live; else it ends when sync stops, with a last one that is `idle`, and at once
   * where sync does not run. Leaving the loop leaves nothing behind. Throws the reason of `signal` only.
   */
  watch(options?: SyncWatchOptions): AsyncIterableIterator<SyncProgress, void, undefined>
  /**
   * Resolves as soon as it is live, at once where it is.
   *
   * @throws AbortError when sync stops or does not run, as on a seed; the reason of `signal` when that aborts
   */
  live(options?: { signal?: AbortSignal }): Promise<SyncProgress>
  /**
   * Fetches a block that is missing below one that `from` sent, with up to 32 blocks before it, from that peer, and from two others
   * unless it says that it knows no such block; further ones come by the way of all sync, which is waited for. True when `hash` has
   * its body here. Never throws for what peers do; at most 16 at once, further ones are false at once.
   */
  fetchBranch(hash: Uint8Array, from: PeerId, options: { signal: AbortSignal }): Promise<boolean>
  /** Peers that may have this block: first those who say that it is their head. */
  holders(hash: Uint8Array): PeerId[]
  /**
   * Asks one peer for transactions of a block by their places, ascending, at most 8,192. They come in that order; fewer when it has not all.
   * Never throws for what peers do, and checks nothing of what they are.
   */
  fetchTxs(
    hash: Uint8Array,
    indexes: number[],
    from: PeerId,
    options: { signal: AbortSignal }
  ): AsyncIterable<Uint8Array[]>
  /**
   * Asks one peer for a block whose header has this hash and this root. Who sends another header or another body is charged. Never throws
   * for what peers do.
   */
  fetchBlock(
    block: { hash: Uint8Array; root: Uint8Array },
    from: PeerId,
    options: { signal: AbortSignal }
  ): Promise<Uint8Array | undefined>
  /** Single transactions with proofs; of a full node from its own store. A seed, and one that is not started, has none. */
  readonly light: Light
  /** Why it waits, in words, and from what that follows: every peer's claim and standing, every request, what is parked. */
  explain(): SyncReport
}

/** What `sync` takes from its neighbours. `peers` is told who was heard of and what went wrong, where it exists. */
export interface SyncComponents {
  chain: SyncChain
  status: StatusPort
  peers?: PeersPort
  /** Serves blocks that were passed on before they are in the chain. */
  blocks?: { recent(hash: Uint8Array): Uint8Array | undefined }
  registrar: Registrar
  connectionManager: ConnectionManager
  events: TypedEventTarget<Libp2pEvents>
  logger: ComponentLogger
}

export class SyncService extends TypedEventEmitter<SyncEvents> implements Sync, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/sync'
  readonly [serviceCapabilities]: string[] = ['@blockwire/sync']

  readonly light: Light = {
    get: async (query, options) => {
      const light = this.#parts?.light
      if (light == null)
        throw new ProofUnavailableError(toHex(query.tx), 'there is no chain here, or it is not started')
      return light.get(query, options)
    }
  }

  readonly #log: Logger
  readonly #clock: Clock
  readonly #role: Role
  readonly #meter = new ProgressMeter()
  /** What runs between `start` and `stop`. */
  #parts: Parts | undefined
  #unserve: (() => Promise<void>) | undefined
  #cancelTimer: (() => void) | undefined
  #evaluating = false
  #again = false
  #told: SyncProgress | undefined
  #toldAt = 0

  constructor(
    private readonly components: SyncComponents,
    private readonly init: SyncInit = {}
  ) {
    super()
    this.#log = components.logger.forComponent('blockwire:sync')
    this.#clock = init.clock ?? systemClock
    this.#role = init.role ?? 'full'
  }

  get state(): SyncState {
    return this.#parts?.planner.state ?? 'idle'
  }

  get reason(): string | undefined {
    return this.#parts?.planner.reason
  }

  get progress(): SyncProgress {
    return this.#meter.progress(this.#clock.now(), this.components.chain, this.#parts?.planner)
  }

  async start(): Promise<void> {
    if (this.#parts != null || this.#role === 'seed') return
    const { chain, registrar, status } = this.components
    const protocol = syncProtocol(chain.limits, this.#clock)
    const neighbours = new Neighbours(status, sibling(this.components, 'peers'))
    const light = this.#role === 'light'
    if (light !== (chain.bodies === false)) {
      const keeps = light ? 'blocks' : 'headers only'
      throw new ConfigError('role', `'${this.#role}' does not go with a chain that keeps ${keeps}`, {
        fix: "role 'light' goes with new Chain({ bodies: false })"
      })
    }
    const planner = new Planner(chain, () => this.#clock.now(), light)
    const requester = new Requester(chain, protocol, neighbours)
    const parts = [chain, planner, requester, neighbours, this.#log, this.#evaluate] as const
    const run = new AbortController()
    const blocks = sibling(this.components, 'blocks')
    const recent = (hash: Uint8Array): Uint8Array | undefined =>
      chain.has(hash) === 'invalid' ? undefined : blocks?.recent(hash)
    const transactions = new TxServer(chain, recent)
    const changes = new Changes()
    const around = [planner, requester, neighbours, this.#log, this.#clock, changes, this.#evaluate] as const
    this.#parts = {
      planner,
      downloads: new Downloads(...parts, new HeaderIntake(chain, this.#clock)),
      branches: new BranchFetch(...parts, changes),
      blocks: new BlockFetch(...parts, changes),
      light: new LightClient(chain, ...around, transactions, run.signal),
      changes,
      ...(light ? { witness: new Witness(chain) } : {}),
      run
    }
    this.#unserve = await protocol.serve(
      registrar,
      chain.id,
      (request, { spend }) =>
        answer(
          chain,
          this.init.lowest?.() ?? 0,
          (header) => hashHeader(chain, header),
          request,
          transactions,
          spend,
          recent
        ),
      {
        onFault: (peer, err) => neighbours.failed(peer, err),
        onError: (err) => this.#log.error('could not answer - %e', err),
        serving: this.init.serving ?? new Serving({ clock: this.#clock, urgent: () => chain.busy === true })
      }
    )
  }

  afterStart(): void {
    if (this.#parts == null) return
    const { chain, status } = this.components
    status.addEventListener('join', this.#onStatus)
    status.addEventListener('head', this.#onStatus)
    status.addEventListener('leave', this.#onLeave)
    chain.addEventListener('head', this.#onChain)
    chain.addEventListener('target', this.#onChain)
    for (const peer of status.peers.values()) this.#offer(peer)
    this.#evaluate()
  }

  async stop(): Promise<void> {
    const parts = this.#parts
    if (parts == null) return
    this.#parts = undefined
    const { chain, status } = this.components
    status.removeEventListener('join', this.#onStatus)
    status.removeEventListener('head', this.#onStatus)
    status.removeEventListener('leave', this.#onLeave)
    chain.removeEventListener('head', this.#onChain)
    chain.removeEventListener('target', this.#onChain)
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    parts.run.abort(new Error('sync stops'))
    await this.#unserve?.()
    this.#unserve = undefined
    this.#tell()
    // an import ends with its batch; a rule of the app that hangs must not keep us
    const late = Promise.withResolvers<void>()
    const cancel = this.#clock.after(STOP_MS, late.resolve)
    await Promise.race([parts.downloads.stop(), late.promise])
    cancel()
  }

  async fetchBranch(hash: Uint8Array, from: PeerId, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const parts = this.#parts
    if (parts == null || this.#role === 'light') return false
    return parts.branches.fetch(hash, from, AbortSignal.any([signal, parts.run.signal]))
  }

  holders(hash: Uint8Array): PeerId[] {
    return this.#parts?.blocks.holders(hash) ?? []
  }

  async *fetchTxs(
    hash: Uint8Array,
    indexes: number[],
    from: PeerId,
    { signal }: { signal: AbortSignal }
  ): AsyncGenerator<Uint8Array[]> {
    const parts = this.#parts
    if (parts != null) yield* parts.blocks.txs(hash, indexes, from, AbortSignal.any([signal, parts.run.signal]))
  }

  async fetchBlock(
    block: { hash: Uint8Array; root: Uint8Array },
    from: PeerId,
    { signal }: { signal: AbortSignal }
  ): Promise<Uint8Array | undefined> {
    const parts = this.#parts
    return parts?.blocks.block(block, from, AbortSignal.any([signal, parts.run.signal]))
  }

  watch(options: SyncWatchOptions = {}): AsyncIterableIterator<SyncProgress, void, undefined> {
    return new Watch(this, options)
  }

  async live({ signal }: { signal?: AbortSignal } = {}): Promise<SyncProgress> {
    for await (const progress of this.watch({ ...(signal == null ? {} : { signal }), until: 'live' })) {
      if (progress.state === 'live') return progress
    }
    throw new AbortError('sync does not run')
  }

  explain(): SyncReport {
    return report(this.progress, this.#parts?.planner, this.#parts?.witness)
  }

  readonly #onStatus = ({ detail }: CustomEvent<PeerStatus>): void => {
    this.#offer(detail)
    this.#evaluate()
  }

  readonly #onLeave = ({ detail }: CustomEvent<{ peer: PeerId; reason: string }>): void => {
    this.#parts?.planner.leave(detail.peer.toString())
    this.#evaluate()
  }

  readonly #onChain = (): void => {
    this.#parts?.planner.changed()
    this.#evaluate()
  }

  #offer({ peer, role, lowest, txIndex, head }: PeerStatus): void {
    this.#parts?.planner.offer({ id: peer.toString(), role, lowest, txIndex, ...(head == null ? {} : { head }) })
  }

  /** Levels, not edges: it does not rely on having heard every event. */
  readonly #look = (): void => {
    const { planner } = this.#parts ?? {}
    const { peers } = this.components.status
    for (const id of [...(planner?.sources.keys() ?? [])]) if (!peers.has(id)) planner?.leave(id)
    for (const peer of peers.values()) this.#offer(peer)
    planner?.changed()
    this.#evaluate()
  }

  /** Does what the planner decides, until it has nothing new. Listeners and timers call it: it never throws. */
  readonly #evaluate = (): void => {
    this.#again = true
    if (this.#evaluating) return
    this.#evaluating = true
    try {
      for (let round = 0; this.#again && this.#parts != null && round < MAX_ROUNDS; round++) {
        this.#again = false
        for (const action of this.#parts.planner.evaluate()) this.#parts?.downloads.act(action)
      }
      this.#tell()
      this.#witness()
    } catch (err) {
      this.#log.error('could not decide what to do - %e', err)
    } finally {
      this.#evaluating = false
    }
    this.#arm()
    this.#parts?.changes.wake()
  }

  #witness(): void {
    const { witness, planner } = this.#parts ?? {}
    const detail = planner && witness?.warning([...planner.sources.values()], this.#clock.now())
    if (detail != null) this.safeDispatchEvent('warning', { detail })
  }

  #arm(): void {
    this.#cancelTimer?.()
    if (this.#parts == null) return
    const ms = Math.max(1, Math.min(WATCHDOG_MS, this.#parts.planner.wakeAt() - this.#clock.now()))
    this.#cancelTimer = this.#clock.after(ms, this.#look)
  }

  #tell(): void {
    const { state, reason } = this
    const now = this.#clock.now()
    this.#meter.note(now, state, this.components.chain)
    const changed = this.#told?.state !== state || this.#told.reason !== reason
    if (!changed && Math.abs(now - this.#toldAt) < PROGRESS_MS) return
    const { progress } = this
    if (!isNews(progress, this.#told)) return
    this.#told = progress
    this.#toldAt = now
    if (changed && progress.state === 'live') void this.components.chain.settled?.()
    if (changed) this.safeDispatchEvent('state', { detail: progress })
    this.safeDispatchEvent('progress', { detail: progress })
  }
}

interface Parts {
  planner: Planner
  downloads: Downloads
  branches: BranchFetch
  blocks: BlockFetch
  light: LightClient
  changes: Changes
  witness?: Witness
  run: AbortController
}

/** A service that the node may have, or undefined: reading it throws then. */
function sibling<K extends 'peers' | 'blocks'>(components: SyncComponents, key: K): SyncComponents[K] {
  try {
    return components[key]
  } catch {
    return undefined
  }
}
