import type { ComponentLogger, Connection, Logger, PeerId, Startable, TypedEventTarget } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { txId, type Verdict } from '../chain/index.js'
import { type Clock, steady, systemClock } from '../clock.js'
import { ConfigError, type Fault, MalformedError, PeerError } from '../errors.js'
import { Serving } from '../protocol/index.js'
import { decodeShorts, encodeShorts, SHORT_BYTES, SipHash } from '../siphash.js'
import { Rounds } from './catch-up-rounds.js'
import { CatchUpServer } from './catch-up-server.js'
import { MAX_ASKED, type PoolProtocol, poolProtocol, SALT_BYTES, SESSION_EVERY_MS } from './catch-up-wire.js'
import type { Added, AddTxOptions, Pool } from './port.js'

export interface CatchUpInit {
  /** Answers take turns with those of all protocols that are given the same one. @default one of its own */
  serving?: Serving
  clock?: Clock
}

/** A peer that follows our chain. */
export interface CatchUpPeer {
  readonly peer: PeerId
  readonly connection: Connection
  readonly role: string
}

/** What catching up needs of a pool. */
export interface CatchUpPool extends Pick<Pool, 'ids' | 'get' | 'size' | 'bytes'> {
  add(txs: Uint8Array[], options: AddTxOptions): Promise<Added[]>
}

/** What catching up needs of its siblings. `peers` is told what went wrong, where it exists. */
export interface CatchUpComponents {
  chain: { readonly id: string; readonly limits: { txBytes: number } }
  /** Must be there when it starts. */
  pool?: CatchUpPool
  status: { readonly peers: ReadonlyMap<string, CatchUpPeer> } & Pick<
    TypedEventTarget<{ join: CustomEvent<CatchUpPeer>; leave: CustomEvent<{ peer: PeerId }> }>,
    'addEventListener' | 'removeEventListener'
  >
  sync: { readonly state: string } & Pick<
    TypedEventTarget<{ state: CustomEvent }>,
    'addEventListener' | 'removeEventListener'
  >
  peers?: {
    heard(peer: PeerId): void
    fault(peer: PeerId, fault: Fault, reason: string): void
    judge(peer: PeerId, verdict: Verdict, via: 'sync'): void
  }
  registrar: Registrar
  logger: ComponentLogger
}

export interface CatchUp {
  /** A session is under way. */
  readonly busy: boolean
}

/**
 * Fetches what is pending at a peer that has come, once both are live, and serves the same. One peer at a time, in random order, each at most
 * once a minute; a session that fails is left, and tried again a minute later. `stop` ends what is under way.
 */
export function catchUp(init: CatchUpInit = {}): (components: CatchUpComponents) => CatchUp {
  return (components) => new CatchUpService(components, init)
}

/** How long a session may take. */
const SESSION_MS = 60_000

class CatchUpService implements CatchUp, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/catch-up'
  readonly #components: CatchUpComponents
  readonly #init: CatchUpInit
  readonly #clock: Clock
  readonly #log: Logger
  readonly #protocol: PoolProtocol
  readonly #rounds = new Rounds(SESSION_EVERY_MS)
  #run: AbortController | undefined
  #unserve: (() => Promise<void>) | undefined
  #session: { peer: string; abort: AbortController } | undefined
  #cancelTimer: () => void = () => {}

  constructor(components: CatchUpComponents, init: CatchUpInit) {
    this.#components = components
    this.#init = init
    this.#clock = steady(init.clock ?? systemClock)
    this.#log = components.logger.forComponent('blockwire:catch-up')
    this.#protocol = poolProtocol(components.chain.limits, this.#clock)
  }

  get busy(): boolean {
    return this.#session != null
  }

  get #live(): boolean {
    return this.#components.sync.state === 'live'
  }

  async start(): Promise<void> {
    if (this.#run != null) return
    const { registrar, chain, pool } = this.#components
    if (pool == null) throw new ConfigError('catchUp', 'needs a pool beside it', { fix: 'add the service pool()' })
    this.#run = new AbortController()
    const server = new CatchUpServer({ pool, clock: this.#clock, live: () => this.#live })
    this.#unserve = await this.#protocol.serve(
      registrar,
      chain.id,
      (request, context) => server.answer(request, context),
      {
        onFault: (peer, err) => this.#failed(peer, err),
        onError: (err) => this.#log.error('could not answer - %e', err),
        serving: this.#init.serving ?? new Serving({ clock: this.#clock })
      }
    )
  }

  afterStart(): void {
    const { status, sync } = this.#components
    status.addEventListener('join', this.#onJoin)
    status.addEventListener('leave', this.#onLeave)
    sync.addEventListener('state', this.#next)
    for (const peer of status.peers.values()) this.#join(peer)
    this.#next()
  }

  async stop(): Promise<void> {
    const { status, sync } = this.#components
    status.removeEventListener('join', this.#onJoin)
    status.removeEventListener('leave', this.#onLeave)
    sync.removeEventListener('state', this.#next)
    this.#cancelTimer()
    this.#run?.abort(new Error('catching up stops'))
    this.#run = undefined
    await this.#unserve?.()
    this.#unserve = undefined
  }

  readonly #onJoin = ({ detail }: CustomEvent<CatchUpPeer>): void => {
    this.#join(detail)
    this.#next()
  }

  readonly #onLeave = ({ detail }: CustomEvent<{ peer: PeerId }>): void => {
    const peer = detail.peer.toString()
    this.#rounds.leave(peer)
    if (this.#session?.peer === peer) this.#session.abort.abort()
  }

  #join({ peer, role }: CatchUpPeer): void {
    if (role === 'full') this.#rounds.join(peer.toString())
  }

  /** Begins a session, if one is due. */
  readonly #next = (): void => {
    this.#cancelTimer()
    if (this.#run == null || this.#session != null || !this.#live) return
    const now = this.#clock.now()
    const id = this.#rounds.take(now, Math.random())
    const peer = id == null ? undefined : this.#components.status.peers.get(id)
    if (id != null && peer != null) {
      void this.#with(id, peer, this.#run.signal)
      return
    }
    const { nextDue } = this.#rounds
    if (nextDue != null) this.#cancelTimer = this.#clock.after(Math.max(1, nextDue - now), this.#next)
  }

  async #with(id: string, peer: CatchUpPeer, run: AbortSignal): Promise<void> {
    const abort = new AbortController()
    this.#session = { peer: id, abort }
    const cancel = this.#clock.after(SESSION_MS, () => abort.abort())
    try {
      await this.#fetch(peer, AbortSignal.any([run, abort.signal]))
    } catch (err) {
      if (!run.aborted) {
        this.#failed(peer.peer, err)
        const { name } = err as Error
        if (name !== 'UnsupportedError' && this.#components.status.peers.has(id)) this.#rounds.join(id)
      }
    } finally {
      cancel()
      this.#session = undefined
    }
    this.#next()
  }

  async #fetch({ peer, connection }: CatchUpPeer, signal: AbortSignal): Promise<void> {
    const { chain, peers } = this.#components
    const pool = this.#components.pool!
    const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES))
    const sip = new SipHash(salt)
    const theirs: number[] = []
    const pages = this.#protocol.request(connection, chain.id, { ids: { salt } }, { signal })
    for await (const items of pages) {
      peers?.heard(peer)
      for (const item of items) {
        if (item.length % SHORT_BYTES !== 0) throw new MalformedError(`a page of ${item.length} bytes`)
        theirs.push(...decodeShorts(item))
      }
    }
    const ours = new Set<number>()
    for (const id of pool.ids()) ours.add(sip.short(id))
    let missing = [...new Set(theirs)].filter((short) => !ours.has(short))
    // a newcomer tells nobody what all others have
    const quiet = 2 * missing.length > theirs.length
    while (missing.length > 0 && this.#live) {
      const asked = missing.slice(0, MAX_ASKED)
      const { txs, next } = await this.#pack({ peer, connection }, { salt, asked, sip }, signal)
      missing = missing.slice(next)
      const added = await pool.add(txs, { source: peer, quiet })
      signal.throwIfAborted()
      for (const { verdict } of added) {
        if (verdict.result === 'reject') {
          peers?.judge(peer, verdict, 'sync')
          return
        }
        // there is no room for the rest either
        if (verdict.result === 'ignore' && verdict.reason === 'full') return
      }
    }
  }

  /** Transactions of those asked for, and how many of these are done with. */
  async #pack(
    { peer, connection }: Pick<CatchUpPeer, 'peer' | 'connection'>,
    { salt, asked, sip }: { salt: Uint8Array<ArrayBuffer>; asked: number[]; sip: SipHash },
    signal: AbortSignal
  ): Promise<{ txs: Uint8Array[]; next: number }> {
    const ids = encodeShorts(asked) as Uint8Array<ArrayBuffer>
    const answer = this.#protocol.request(
      this.#connection(peer, connection),
      this.#components.chain.id,
      { txs: { salt, ids } },
      { signal }
    )
    const txs: Uint8Array[] = []
    let next = 0
    for await (const items of answer) {
      this.#components.peers?.heard(peer)
      for (const tx of items) {
        // those in between are not there any more
        const at = asked.indexOf(sip.short(txId(tx)), next)
        if (at === -1) throw new MalformedError('a transaction that was not asked for')
        next = at + 1
        txs.push(tx)
      }
    }
    if (!answer.more) return { txs, next: asked.length }
    if (txs.length === 0) throw new MalformedError('an answer that is cut before it begins')
    return { txs, next }
  }

  /** The present one: a duplicate may have been closed meanwhile. */
  #connection(peer: PeerId, connection: Connection): Connection {
    return this.#components.status.peers.get(peer.toString())?.connection ?? connection
  }

  #failed(peer: PeerId, err: unknown): void {
    this.#log.trace('a session with %p failed - %e', peer, err)
    if (err instanceof PeerError && err.fault !== 'none') this.#components.peers?.fault(peer, err.fault, err.message)
  }
}
