import { bootstrap } from '@libp2p/bootstrap'
import type { Logger, PeerDiscovery, PeerId, Startable } from '@libp2p/interface'
import { peerDiscoverySymbol, serviceCapabilities, serviceDependencies, start, stop } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { setMaxListeners, TypedEventEmitter } from 'main-event'
import type { Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import type { Fault } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import { AddressBook, named } from './book.js'
import { Dialler, textOf } from './dialler.js'
import { Door } from './door.js'
import { Farewell } from './farewell.js'
import { faultOf, Ledger, SHUN_MS, scoreOf, type Via } from './faults.js'
import { guard } from './gater.js'
import { Heartbeat } from './heartbeat.js'
import type { JoinedPeer, PeerReport, Peers, PeersEvents, PeersInit } from './index.js'
import { Inquiry } from './inquiry.js'
import { Links } from './links.js'
import { Observer } from './observer.js'
import { Planner } from './planner.js'
import { report } from './report.js'
import { Roster } from './roster.js'
import type { Seed } from './seeds.js'
import { type PeersComponents, type Siblings, siblings } from './siblings.js'

/** How often everything is looked at again. Nothing depends on an event alone: what was missed is found at the next look. */
const TICK_MS = 1000
/** Inbound connections over the cap that are let in to be told so; beyond these the door is shut before any cryptography. */
const SURPLUS = 16
/** A peer of which nothing was seen for this long is not introduced to others. */
const RECENT_MS = 600_000
const GOODBYE = { tooMany: 4, fault: 6, idle: 8 } as const

/** See `Peers`. Connects the parts: each of them owns what its name says and decides, here is only what follows from what. */
export class PeersService extends TypedEventEmitter<PeersEvents> implements Peers, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/peers'
  readonly [serviceCapabilities]: string[] = ['@blockwire/peers']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']
  readonly #components: PeersComponents
  readonly #init: PeersInit
  readonly #clock: Clock
  readonly #log: Logger
  readonly #bootstrap: PeerDiscovery | undefined
  readonly #book: AddressBook
  readonly #ledger = new Ledger()
  readonly #planner: Planner
  readonly #dialler: Dialler
  readonly #door: Door
  readonly #links: Links
  readonly #heartbeat: Heartbeat
  readonly #roster: Roster
  readonly #farewell: Farewell
  readonly #observer: Observer
  readonly #tasks = new Set<Promise<unknown>>()
  #siblings: Siblings = { chain: undefined, status: undefined, identify: undefined }
  #inquiry: Inquiry | undefined
  #unserve: (() => Promise<void>) | undefined
  #unguard: (() => void) | undefined
  #run = new AbortController()
  #cancelTick: (() => void) | undefined
  #lookSoon = false

  constructor(components: PeersComponents, init: PeersInit, seeds: readonly Seed[]) {
    super()
    this.#components = components
    this.#init = init
    this.#clock = init.clock ?? systemClock
    this.#log = components.logger.forComponent('blockwire:peers')
    const maxInbound = init.maxInbound ?? (init.role === 'seed' ? 256 : 32)
    const clock = this.#clock
    const { connectionManager, peerId: self } = components
    const ledger = this.#ledger
    const book = new AddressBook({ keeps: (id) => this.#planner.isLinked(id) })
    const others = seeds.filter((seed) => seed.id !== self.toString())
    if (others.length < seeds.length) this.#log('%d seeds are this node itself', seeds.length - others.length)
    const list = others.map((seed) => seed.address.toString())
    for (const [i, seed] of others.entries()) book.pin(seed.id, list[i] ?? '', clock.now())
    // It dials each seed once, a second after the start. What it is here for: other libp2p services see seeds as discovered peers.
    this.#bootstrap = list.length === 0 ? undefined : bootstrap({ list })(components)
    const penalty = (id: string): number => ledger.unwanted(id, clock.now())
    const planner = new Planner({ book, target: init.target ?? 8, random: init.random ?? Math.random, penalty })
    const onSeed = (detail: PeersEvents['seed']['detail']) => this.safeDispatchEvent('seed', { detail })
    this.#book = book
    this.#planner = planner
    this.#dialler = new Dialler({ clock, book, planner, connectionManager, onSeed })
    this.#door = new Door({
      ...{ clock, self, connectionManager, ledger, planner },
      limit: maxInbound + SURPLUS,
      onDoubt: (peer) => this.#spawn(this.#heartbeat.probe(peer.toString(), this.#run.signal))
    })
    this.#links = new Links({
      ...{ clock, self, connectionManager },
      identify: () => this.#siblings.identify,
      signal: () => this.#run.signal,
      spawn: (task) => this.#spawn(task),
      onSurvivor: (connection) => {
        planner.opened(connection.remotePeer.toString(), connection.direction, clock.now())
        this.#roster.follow(connection)
      }
    })
    this.#heartbeat = new Heartbeat({
      clock,
      idleMs: init.ping?.idleMs ?? 10_000,
      timeoutMs: init.ping?.timeoutMs ?? 5000,
      misses: init.ping?.misses ?? 3,
      connection: (id) => this.#roster.members.get(id)?.connection,
      onSilent: (id) => this.#dismiss(id, GOODBYE.idle, 'silent: it did not answer our pings')
    })
    this.#roster = new Roster({
      clock,
      onJoin: (member) => this.#onJoin(member),
      onLeave: (member, reason) => this.#onLeave(member, reason),
      onSurplus: (id) => this.#dismiss(id, GOODBYE.tooMany, 'too many peers')
    })
    this.#farewell = new Farewell({
      ...{ clock, connectionManager, log: this.#log, links: this.#links },
      status: () => this.#siblings.status,
      signal: () => this.#run.signal
    })
    this.#observer = new Observer({
      ...{ clock, self, book, planner, dialler: this.#dialler, links: this.#links, roster: this.#roster },
      maxInbound,
      inquiry: () => this.#inquiry,
      reasonOf: (id) => this.#farewell.reasonOf(id),
      heard: (peer) => this.heard(peer),
      look: () => this.#look()
    })
  }

  get connected(): ReadonlyMap<string, JoinedPeer> {
    return this.#roster.members
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
    this.#observer.open(this.#components.events, this.#siblings.status)
    const chain = this.#siblings.chain?.id
    if (chain != null && this.#init.introductions !== false) {
      this.#inquiry = this.#makeInquiry(chain)
      this.#unserve = await this.#inquiry.serve()
    }
    await start(this.#bootstrap)
  }

  afterStart(): void {
    this.#tick(this.#clock.now())
  }

  async beforeStop(): Promise<void> {
    this.#run.abort(new Error('the node stops'))
    this.#cancelTick?.()
    this.#roster.close()
    await stop(this.#bootstrap)
  }

  async stop(): Promise<void> {
    this.#observer.shut()
    await this.#unserve?.()
    this.#unserve = undefined
    await Promise.all(this.#tasks)
  }

  /** The last connections close while services stop, so what is told of them is taken until now. */
  afterStop(): void {
    this.#observer.close()
    this.#roster.clear('the node stopped')
    this.#planner.clear()
    this.#links.clear()
    this.#inquiry = undefined
    this.#unguard?.()
    this.#unguard = undefined
  }

  // What others say and ask

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

  disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void> {
    return this.#farewell.disconnect(peer, code, reason)
  }

  explain(): PeerReport[] {
    const now = this.#clock.now()
    const { liveness } = this.#heartbeat
    const isWelcome = (id: string): boolean => this.#isWelcome(id)
    return report(this.#roster.members, this.#book, this.#planner, this.#ledger, liveness, isWelcome, now)
  }

  // What follows

  #onJoin(member: JoinedPeer): void {
    const id = member.peer.toString()
    this.#heartbeat.liveness.add(id, member.since)
    this.#planner.proved(id)
    this.#dialler.seed(id, 'connected')
    this.safeDispatchEvent('join', { detail: member })
    this.#inquiry?.joined(member)
  }

  #onLeave({ peer }: JoinedPeer, reason: string): void {
    this.#heartbeat.liveness.remove(peer.toString())
    this.#inquiry?.left(peer.toString())
    this.safeDispatchEvent('leave', { detail: { peer, reason } })
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
    this.#inquiry?.look()
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

  #makeInquiry(chain: string): Inquiry {
    const { peerId: self, peerStore, registrar } = this.#components
    return new Inquiry({
      ...{ self, peerStore, registrar, chain, clock: this.#clock, log: this.#log },
      random: this.#init.random ?? Math.random,
      members: this.#roster.members,
      signal: this.#run.signal,
      satisfied: () => this.#planner.satisfied,
      rank: (id) => this.#rank(id),
      spawn: (task) => this.#spawn(task),
      learn: ({ id, seq, addresses }) => {
        const fresh = this.#book.get(id) == null
        this.#book.learn(id, named(addresses, id), this.#clock.now(), seq)
        this.#look()
        return fresh
      },
      identify: (connection) => this.#links.identify(connection),
      onFault: (peer, fault, reason) => this.fault(peer, fault, reason),
      onError: (err) => this.#log.error('answering a request for introductions failed - %e', err)
    })
  }

  #rank(id: string): 0 | 1 | 2 {
    const now = this.#clock.now()
    if (this.#ledger.isBanned(id, now)) return 0
    if (this.#roster.members.has(id)) return 2
    const entry = this.#book.get(id)
    return entry?.proven === true && entry.failures === 0 && now - entry.endedAt < RECENT_MS ? 1 : 0
  }

  #dismiss(id: string, code: GoodbyeCode, reason: string): void {
    this.#spawn(this.disconnect(peerIdFromString(id), code, reason))
  }

  #spawn(task: Promise<unknown>): void {
    const settled = task
      .catch((err: unknown) => this.#log.error('%s', textOf(err)))
      .finally(() => this.#tasks.delete(settled))
    this.#tasks.add(settled)
  }
}
