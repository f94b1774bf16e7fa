import { bootstrap } from '@libp2p/bootstrap'
import {
  type ComponentLogger,
  type Connection,
  type ConnectionGater,
  type IdentifyResult,
  type Libp2pEvents,
  type Logger,
  type PeerDiscovery,
  type PeerId,
  type PeerInfo,
  type PeerStore,
  peerDiscoverySymbol,
  type Startable,
  serviceCapabilities,
  serviceDependencies,
  start,
  stop
} from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import { setMaxListeners, TypedEventEmitter, type TypedEventTarget } from 'main-event'
import type { Verdict } from '../chain/verdict.js'
import { type Clock, systemClock } from '../clock.js'
import type { Fault, PeerError } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import { AddressBook } from './book.js'
import { Dialler, textOf } from './dialler.js'
import { Door } from './door.js'
import { faultOf, Ledger, SHUN_MS, scoreOf, type Via } from './faults.js'
import { guard } from './gater.js'
import { Heartbeat } from './heartbeat.js'
import type { JoinedPeer, PeerReport, Peers, PeersEvents, PeersInit } from './index.js'
import { Introductions } from './introductions.js'
import { Links } from './links.js'
import { pause } from './pause.js'
import { Planner } from './planner.js'
import { report } from './report.js'
import { inScope } from './scope.js'
import type { Seed } from './seeds.js'
import { type Siblings, type StatusPeer, siblings } from './siblings.js'

/** What `peers` needs of its host. `chain`, `status` and `identify` are used when they stand beside it. */
export interface PeersComponents {
  peerId: PeerId
  peerStore: PeerStore
  connectionManager: ConnectionManager
  connectionGater: ConnectionGater
  registrar: Registrar
  events: TypedEventTarget<Libp2pEvents>
  logger: ComponentLogger
}

/** How often everything is looked at again. Nothing depends on an event alone: what was missed is found at the next look. */
const TICK_MS = 1000
/** Inbound connections over the cap that are let in to be told so; beyond these the door is shut before any cryptography. */
const SURPLUS = 16
/** How long one over the cap may take to say hello, so that our goodbye has a stream to go by. */
const SURPLUS_MS = 3000
/** How long a goodbye may hold up the closing. wire.md, section 1. */
const GOODBYE_MS = 500
/** A peer of which nothing was seen for this long is not introduced to others. */
const RECENT_MS = 600_000
/** How long after it joined a peer is asked for others, at least; at most twice that. */
const ASK_MS = 400
/** A peer without a signed record is asked for it once more after this time: it may not have known its addresses yet. */
const RECORD_MS = 5000
const GOODBYE = { tooMany: 4, fault: 6, idle: 8 } as const

type Member = JoinedPeer & { connection: Connection; direction: 'inbound' | 'outbound'; asked: boolean }

/** See `Peers`. Sole owner of who has joined; the parts that it is made of own the rest. */
export class PeersService extends TypedEventEmitter<PeersEvents> implements Peers, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/peers'
  readonly [serviceCapabilities]: string[] = ['@blockwire/peers']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']
  readonly #components: PeersComponents
  readonly #clock: Clock
  readonly #random: () => number
  readonly #log: Logger
  readonly #maxInbound: number
  readonly #wantsIntroductions: boolean
  readonly #bootstrap: PeerDiscovery | undefined
  readonly #book: AddressBook
  readonly #planner: Planner
  readonly #dialler: Dialler
  readonly #ledger = new Ledger()
  readonly #door: Door
  readonly #links: Links
  readonly #heartbeat: Heartbeat
  readonly #joined = new Map<string, Member>()
  readonly #reasons = new Map<string, string>()
  readonly #surplus = new Map<string, () => void>()
  readonly #tasks = new Set<Promise<unknown>>()
  #siblings: Siblings = { chain: undefined, status: undefined, identify: undefined }
  #introductions: Introductions | undefined
  #unserve: (() => Promise<void>) | undefined
  #unguard: (() => void) | undefined
  #run = new AbortController()
  #cancelTick: (() => void) | undefined
  #lookSoon = false

  constructor(components: PeersComponents, init: PeersInit, seeds: readonly Seed[]) {
    super()
    const self = components.peerId.toString()
    this.#components = components
    this.#clock = init.clock ?? systemClock
    this.#random = init.random ?? Math.random
    this.#log = components.logger.forComponent('blockwire:peers')
    this.#maxInbound = init.maxInbound ?? (init.role === 'seed' ? 256 : 32)
    this.#wantsIntroductions = init.introductions ?? true
    this.#book = new AddressBook({ keeps: (id) => this.#planner.isLinked(id) })
    const others = seeds.filter((seed) => seed.id !== self)
    if (others.length < seeds.length)
      this.#log('left out %d seeds that are this node itself', seeds.length - others.length)
    for (const seed of others) this.#book.pin(seed.id, seed.address.toString(), this.#clock.now())
    // It dials each seed once, a second after the start. What it is here for: other libp2p services see seeds as discovered peers.
    const list = others.map((seed) => seed.address.toString())
    this.#bootstrap = list.length === 0 ? undefined : bootstrap({ list })(components)
    this.#planner = new Planner({
      book: this.#book,
      target: init.target ?? 8,
      random: this.#random,
      penalty: (id) => this.#ledger.unwanted(id, this.#clock.now())
    })
    const { connectionManager } = components
    this.#dialler = new Dialler({
      clock: this.#clock,
      book: this.#book,
      planner: this.#planner,
      connectionManager,
      onSeed: (report) => this.safeDispatchEvent('seed', { detail: report })
    })
    this.#door = new Door({
      clock: this.#clock,
      self: components.peerId,
      connectionManager,
      ledger: this.#ledger,
      planner: this.#planner,
      limit: this.#maxInbound + SURPLUS,
      onDoubt: (peer) => this.#spawn(this.#heartbeat.probe(peer.toString(), this.#run.signal))
    })
    this.#links = new Links({
      clock: this.#clock,
      self: components.peerId,
      connectionManager,
      identify: () => this.#siblings.identify,
      signal: () => this.#run.signal,
      spawn: (task) => this.#spawn(task),
      onSurvivor: (connection) => this.#follow(connection)
    })
    this.#heartbeat = new Heartbeat({
      clock: this.#clock,
      idleMs: init.ping?.idleMs ?? 10_000,
      timeoutMs: init.ping?.timeoutMs ?? 5000,
      misses: init.ping?.misses ?? 3,
      connection: (id) => this.#joined.get(id)?.connection,
      onSilent: (id) => this.#dismiss(id, GOODBYE.idle, 'silent: it did not answer our pings')
    })
  }

  get connected(): ReadonlyMap<string, JoinedPeer> {
    return this.#joined
  }

  get [peerDiscoverySymbol](): PeerDiscovery | undefined {
    return this.#bootstrap
  }

  // Lifecycle

  beforeStart(): void {
    this.#unguard = guard(this.#components.connectionGater, this.#door)
  }

  async start(): Promise<void> {
    this.#run = new AbortController()
    setMaxListeners(Number.POSITIVE_INFINITY, this.#run.signal)
    this.#siblings = siblings(this.#components)
    const { events, registrar } = this.#components
    events.addEventListener('connection:open', this.#onOpen)
    events.addEventListener('connection:close', this.#onClose)
    events.addEventListener('peer:identify', this.#onIdentify)
    events.addEventListener('peer:discovery', this.#onDiscovery)
    this.#siblings.status?.addEventListener('join', this.#onStatusJoin)
    this.#siblings.status?.addEventListener('leave', this.#onStatusLeave)
    const chain = this.#siblings.chain?.id
    if (chain != null && this.#wantsIntroductions) {
      this.#introductions = new Introductions({
        clock: this.#clock,
        random: this.#random,
        registrar,
        chain,
        rank: (id) => this.#rank(id),
        onFault: (peer, err) => this.fault(peer, err.fault, err.message),
        onError: (err) => this.#log.error('answering a request for introductions failed - %e', err)
      })
      this.#unserve = await this.#introductions.serve()
    }
    await start(this.#bootstrap)
  }

  afterStart(): void {
    this.#tick(this.#clock.now())
  }

  async beforeStop(): Promise<void> {
    this.#run.abort(new Error('the node stops'))
    this.#cancelTick?.()
    for (const cancel of this.#surplus.values()) cancel()
    this.#surplus.clear()
    await stop(this.#bootstrap)
  }

  async stop(): Promise<void> {
    const { events } = this.#components
    events.removeEventListener('connection:open', this.#onOpen)
    events.removeEventListener('peer:identify', this.#onIdentify)
    events.removeEventListener('peer:discovery', this.#onDiscovery)
    await this.#unserve?.()
    this.#unserve = undefined
    await Promise.all(this.#tasks)
  }

  afterStop(): void {
    this.#components.events.removeEventListener('connection:close', this.#onClose)
    this.#siblings.status?.removeEventListener('join', this.#onStatusJoin)
    this.#siblings.status?.removeEventListener('leave', this.#onStatusLeave)
    for (const id of [...this.#joined.keys()]) this.#leave(id, 'the node stopped')
    this.#planner.clear()
    this.#links.clear()
    this.#reasons.clear()
    this.#introductions = undefined
    this.#unguard?.()
    this.#unguard = undefined
  }

  // What others say

  heard(peer: PeerId): void {
    this.#heartbeat.liveness.heard(peer.toString(), this.#clock.now())
  }

  fault(peer: PeerId, fault: Fault, reason: string): void {
    const id = peer.toString()
    const now = this.#clock.now()
    const sentence = this.#ledger.charge(id, fault, reason, now)
    if (fault !== 'none') this.#log('%s fault of %s: %s', fault, id, reason)
    if (sentence === 'nothing') return
    this.#planner.hold(id, now, SHUN_MS)
    this.#dismiss(id, GOODBYE.fault, `${sentence === 'ban' ? 'banned' : 'too many faults'}: ${reason}`)
  }

  judge(peer: PeerId, verdict: Verdict, via: Via): void {
    if (verdict.result !== 'reject') return
    const detail = verdict.detail == null ? '' : ` (${verdict.detail})`
    this.fault(peer, faultOf(verdict, via), `${verdict.reason}${detail} through ${via}`)
  }

  score(peerId: string): number {
    return scoreOf(this.#ledger.points(peerId, this.#clock.now()))
  }

  async disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void> {
    const id = peer.toString()
    const { connectionManager } = this.#components
    if (connectionManager.getConnections(peer).length === 0) return
    this.#reasons.set(id, reason)
    await this.#goodbye(peer, code)
    await Promise.all(connectionManager.getConnections(peer).map((connection) => this.#links.close(connection)))
    this.#reasons.delete(id)
  }

  explain(): PeerReport[] {
    return report(this.#joined, this.#book, this.#planner, this.#ledger, this.#heartbeat.liveness, this.#clock.now())
  }

  // What happens. Listeners must not throw: that would end the process.

  readonly #onOpen = ({ detail: connection }: CustomEvent<Connection>): void => {
    if (connection.status !== 'open') return
    const peer = connection.remotePeer
    const id = peer.toString()
    this.#planner.opened(id, connection.direction, this.#clock.now())
    this.#links.opened(connection)
    const over = connection.direction === 'inbound' && this.#planner.inbound > this.#maxInbound
    if (over && this.#book.get(id)?.seed !== true && !this.#joined.has(id) && !this.#surplus.has(id)) {
      this.#surplus.set(
        id,
        this.#clock.after(SURPLUS_MS, () => this.#dismiss(id, GOODBYE.tooMany, 'too many peers'))
      )
    }
  }

  readonly #onClose = ({ detail: connection }: CustomEvent<Connection>): void => {
    if (this.#links.closed(connection).length > 0) return
    const id = connection.remotePeer.toString()
    const now = this.#clock.now()
    const reason = this.#reasons.get(id) ?? 'the connection closed'
    this.#surplus.get(id)?.()
    this.#surplus.delete(id)
    this.#planner.closed(id, now, reason)
    if (this.#siblings.status == null) this.#leave(id, reason)
    this.#dialler.lost(id, reason)
    this.#look()
  }

  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const { connection, peerId } = detail
    if (connection.status !== 'open') return
    const now = this.#clock.now()
    const id = peerId.toString()
    const claimed = detail.signedPeerRecord?.addresses ?? detail.listenAddrs
    const addresses = claimed.filter((address) => inScope(address, connection.remoteAddr))
    this.#book.learn(id, named(addresses, id), now, detail.signedPeerRecord?.seq)
    if (detail.signedPeerRecord != null) this.#spawn(this.#keepRecord(peerId, claimed))
    this.#links.identified(connection)
    if (this.#siblings.status == null) this.#join({ peer: peerId, connection })
    this.#look()
  }

  readonly #onDiscovery = ({ detail }: CustomEvent<PeerInfo>): void => {
    const id = detail.id.toString()
    // libp2p also "discovers" whoever connects, with whatever addresses it claims: those are taken from identify, by scope
    if (detail.id.equals(this.#components.peerId) || detail.multiaddrs.length === 0 || this.#planner.isLinked(id))
      return
    this.#book.learn(id, named(detail.multiaddrs, id), this.#clock.now())
    this.#look()
  }

  readonly #onStatusJoin = ({ detail }: CustomEvent<StatusPeer>): void => this.#join(detail)

  readonly #onStatusLeave = ({ detail }: CustomEvent<{ peer: PeerId; reason: string }>): void => {
    const id = detail.peer.toString()
    this.#leave(id, this.#reasons.get(id) ?? detail.reason)
  }

  #join({ peer, connection, role }: Pick<StatusPeer, 'peer' | 'connection'> & { role?: StatusPeer['role'] }): void {
    const id = peer.toString()
    if (this.#surplus.has(id)) {
      this.#dismiss(id, GOODBYE.tooMany, 'too many peers')
      return
    }
    const now = this.#clock.now()
    this.#heartbeat.liveness.heard(id, now)
    if (this.#joined.has(id)) return
    const { direction } = connection
    const member: Member = { peer, connection, direction, since: now, asked: false, ...(role == null ? {} : { role }) }
    this.#joined.set(id, member)
    this.#heartbeat.liveness.add(id, now)
    this.#planner.proved(id)
    this.#dialler.seed(id, 'connected')
    this.safeDispatchEvent('join', { detail: member })
    this.#introductions?.hurry()
    this.#spawn(this.#askSoon(member))
  }

  #leave(id: string, reason: string): void {
    const member = this.#joined.get(id)
    if (member == null) return
    this.#joined.delete(id)
    this.#heartbeat.liveness.remove(id)
    this.safeDispatchEvent('leave', { detail: { peer: member.peer, reason } })
  }

  /** The connection that stays is known. */
  #follow(connection: Connection): void {
    const id = connection.remotePeer.toString()
    this.#planner.opened(id, connection.direction, this.#clock.now())
    const member = this.#joined.get(id)
    if (member == null) return
    member.connection = connection
    member.direction = connection.direction
  }

  // What we do

  /** Looks at everything, now and every second. How late it is says how late our event loop is. */
  #tick(due: number): void {
    if (this.#run.signal.aborted) return
    const now = this.#clock.now()
    this.#heartbeat.liveness.lag(now - due, now)
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick(now + TICK_MS))
    this.#links.sweep()
    for (const beat of this.#heartbeat.beat(this.#run.signal)) this.#spawn(beat)
    for (const member of this.#joined.values()) {
      if (member.asked || now - member.since < RECORD_MS) continue
      member.asked = true
      if (this.#introductions?.knows(member.peer.toString()) === false)
        this.#spawn(this.#links.identify(member.connection))
    }
    if (!this.#planner.satisfied) {
      const whom = this.#introductions?.choose([...this.#joined.keys()])
      const member = whom == null ? undefined : this.#joined.get(whom)
      if (member != null) this.#spawn(this.#ask(member))
    }
    this.#dial()
  }

  /** Dials what is to be dialled, when those who are speaking have finished. */
  #look(): void {
    if (this.#lookSoon) return
    this.#lookSoon = true
    queueMicrotask(() => {
      this.#lookSoon = false
      this.#dial()
    })
  }

  #dial(): void {
    if (this.#run.signal.aborted) return
    for (const id of this.#planner.plan(this.#clock.now(), (id) => this.#isWelcome(id))) {
      this.#spawn(this.#dialler.dial(id, this.#run.signal).then(() => this.#look()))
    }
  }

  #isWelcome(id: string): boolean {
    if (this.#ledger.isBanned(id, this.#clock.now())) return false
    return this.#siblings.status?.refusal(peerIdFromString(id)) == null
  }

  /** Not at once: peers that start together with us have not met the one we ask either. */
  async #askSoon(member: Member): Promise<void> {
    await pause(this.#clock, ASK_MS * (1 + this.#random()), this.#run.signal)
    if (this.#joined.has(member.peer.toString()) && this.#introductions?.mayAsk(member.peer.toString()) === true)
      await this.#ask(member)
  }

  async #ask(member: Member): Promise<void> {
    const introductions = this.#introductions
    if (introductions == null || this.#planner.satisfied) return
    try {
      const self = this.#components.peerId.toString()
      let fresh = false
      for (const { id, seq, addresses } of await introductions.ask(member.connection, this.#run.signal)) {
        if (id === self) continue
        fresh ||= this.#book.get(id) == null
        this.#book.learn(id, named(addresses, id), this.#clock.now(), seq)
      }
      if (fresh) introductions.hurry()
      this.#look()
    } catch (err) {
      if (this.#run.signal.aborted || member.connection.status !== 'open') return
      const { name, fault } = err as PeerError
      if (name === 'UnsupportedError' || fault == null)
        this.#log('no introductions from %p: %s', member.peer, textOf(err))
      else this.fault(member.peer, fault, `introductions: ${textOf(err)}`)
    }
  }

  async #keepRecord(peer: PeerId, addresses: readonly Multiaddr[]): Promise<void> {
    try {
      const { peerRecordEnvelope } = await this.#components.peerStore.get(peer, { signal: this.#run.signal })
      if (peerRecordEnvelope != null) this.#introductions?.remember(peer.toString(), peerRecordEnvelope, addresses)
    } catch (err) {
      this.#log('no record of %p: %s', peer, textOf(err))
    }
  }

  #rank(id: string): 0 | 1 | 2 {
    const now = this.#clock.now()
    if (this.#ledger.isBanned(id, now)) return 0
    if (this.#joined.has(id)) return 2
    const entry = this.#book.get(id)
    return entry?.proven === true && entry.failures === 0 && now - entry.endedAt < RECENT_MS ? 1 : 0
  }

  #dismiss(id: string, code: GoodbyeCode, reason: string): void {
    this.#spawn(this.disconnect(peerIdFromString(id), code, reason))
  }

  /** Says goodbye if there is a way to; never longer than it may take. */
  async #goodbye(peer: PeerId, code: GoodbyeCode): Promise<void> {
    const { status } = this.#siblings
    if (status == null) return
    const done = new AbortController()
    try {
      const tooLong = pause(this.#clock, GOODBYE_MS, AbortSignal.any([this.#run.signal, done.signal]))
      await Promise.race([status.goodbye(peer, code), tooLong])
    } catch (err) {
      this.#log('no goodbye to %p: %s', peer, textOf(err))
    } finally {
      done.abort()
    }
  }

  #spawn(task: Promise<unknown>): void {
    const settled = task
      .catch((err: unknown) => this.#log.error('%s', textOf(err)))
      .finally(() => this.#tasks.delete(settled))
    this.#tasks.add(settled)
  }
}

/** Addresses as the book keeps them, each with the peer's ID. */
function named(addresses: readonly Multiaddr[], id: string): string[] {
  return addresses.map((address) =>
    address.getComponents().at(-1)?.code === CODE_P2P ? address.toString() : `${address.toString()}/p2p/${id}`
  )
}
