import type { Connection, Logger, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Clock, steady, systemClock } from '../clock.js'
import type { Fault } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import { named } from './addresses.js'
import { Archive } from './archive.js'
import { AddressBook } from './book.js'
import { Dialler } from './dialler.js'
import { Door } from './door.js'
import { Farewell } from './farewell.js'
import { scoreOf } from './faults.js'
import { sourceOf } from './group.js'
import { Heartbeat } from './heartbeat.js'
import type { JoinedPeer, PeersInit, SeedReport } from './index.js'
import { Inquiry } from './inquiry.js'
import { Judge } from './judge.js'
import { Keeper } from './keeper.js'
import { Links } from './links.js'
import { type PartingCause, PeerMetrics } from './metrics.js'
import { Observer } from './observer.js'
import type { Settings } from './options.js'
import { Planner } from './planner.js'
import type { OpenRecord } from './record.js'
import type { ReportInit } from './report.js'
import { Roster } from './roster.js'
import type { Seed } from './seeds.js'
import type { PeersComponents, Siblings } from './siblings.js'
import { Turnover } from './turnover.js'

/** Inbound connections over the cap that are let in: one of them may take the place of another, or is told that there is none. */
const SURPLUS = 16
/** A peer of which nothing was seen for this long is not introduced to others. */
const RECENT_MS = 600_000
/** How long one whom we replaced is not dialled. */
const REPLACED_MS = 600_000
/** Codes of docs/wire.md, section 1. */
export const GOODBYE = { tooMany: 4, shuttingDown: 5, fault: 6, idle: 8 } as const

/** What the parts ask of the service that they make up. */
export interface Hub {
  readonly log: Logger
  siblings(): Siblings
  inquiry(): Inquiry | undefined
  /** Aborts when the service stops. */
  signal(): AbortSignal
  /** Aborts when it is suspended, too. */
  awake(): AbortSignal
  /** Neither dials nor lets anyone in. */
  isAsleep(): boolean
  /** Takes care of work that goes on by itself. */
  spawn(task: Promise<unknown>): void
  onJoin(member: JoinedPeer): void
  onLeave(member: JoinedPeer, reason: string): void
  onSeed(report: SeedReport): void
  onWarning(message: string): void
  onQuiet(): void
  fault(peer: PeerId, fault: Fault, reason: string): void
  heard(peer: PeerId): void
  /** Says goodbye and closes. */
  dismiss(id: string, code: GoodbyeCode, reason: string, cause: PartingCause): void
  /** Something changed: look whom to dial. */
  look(): void
  /** Something changed that must not be lost. */
  save(): void
}

/** Makes the parts and tells each what it needs of the others. What follows from what stands here and in the service, nowhere else. */
export class Parts {
  readonly clock: Clock
  readonly random: () => number
  readonly book: AddressBook
  readonly judge: Judge
  readonly planner: Planner
  readonly dialler: Dialler
  readonly door: Door
  readonly links: Links
  readonly heartbeat: Heartbeat
  readonly roster: Roster
  readonly turnover: Turnover
  readonly farewell: Farewell
  readonly observer: Observer
  readonly keeper: Keeper
  readonly metrics: PeerMetrics
  readonly #hub: Hub
  readonly #components: PeersComponents

  constructor(components: PeersComponents, init: PeersInit, settings: Settings, hub: Hub) {
    this.#hub = hub
    this.#components = components
    const { connectionManager, peerId: self, datastore } = components
    const { target, maxInbound, rules, ping } = settings
    const { log } = hub
    const clock = steady(init.clock ?? systemClock)
    const random = init.random ?? Math.random
    const signal = (): AbortSignal => hub.signal()
    const spawn = (task: Promise<unknown>): void => hub.spawn(task)
    const look = (): void => hub.look()
    const reasonOf = (id: string): string | undefined => this.farewell.reasonOf(id)
    const connectionsTo = (id: string): Connection[] => connectionManager.getConnections(peerIdFromString(id))
    this.clock = clock
    this.random = random
    const book = new AddressBook({ keeps: (id) => this.planner.isLinked(id) })
    this.book = book
    this.judge = new Judge({
      ...{ clock, log, rules },
      addresses: (id) => connectionsTo(id).map(({ remoteAddr }) => remoteAddr),
      onHold: (id, ms) => (ms === 0 ? this.planner.release(id) : this.planner.hold(id, clock.now(), ms)),
      onSentence: (id, reason) => {
        hub.dismiss(id, GOODBYE.fault, reason, 'fault')
        hub.save()
      }
    })
    const penalty = (id: string): number => this.judge.ledger.unwanted(id, clock.now())
    const planner = new Planner({ book, target, random, penalty })
    this.planner = planner
    this.dialler = new Dialler({
      ...{ clock, book, planner, connectionManager },
      onSeed: (report) => hub.onSeed(report),
      refusalOf: (id) => {
        const refusal = hub.siblings().status?.refusal(peerIdFromString(id))
        return refusal == null ? undefined : `it follows another chain: ${refusal.field ?? 'it said so'} differs`
      },
      onDialled: (ok) => this.metrics.dialled(ok)
    })
    this.door = new Door({
      ...{ self, connectionManager, judge: this.judge, planner },
      limit: maxInbound + SURPLUS,
      isShut: () => hub.isAsleep(),
      isStranger: (connection) =>
        !this.links.isIdentified(connection) || !this.roster.members.has(connection.remotePeer.toString()),
      onDoubt: (peer) => spawn(this.heartbeat.probe(peer.toString(), signal()))
    })
    this.links = new Links({
      ...{ clock, self, connectionManager, spawn },
      signal: () => hub.awake(),
      identify: () => hub.siblings().identify,
      isMember: (id) => this.roster.members.has(id),
      onSurvivor: (connection) => {
        const { remotePeer, direction, remoteAddr } = connection
        planner.opened(remotePeer.toString(), direction, clock.now(), remoteAddr)
        this.roster.follow(connection)
      }
    })
    this.heartbeat = new Heartbeat({
      ...{ clock, ...ping },
      connection: (id) => this.roster.members.get(id)?.connection,
      onSilent: (id) => hub.dismiss(id, GOODBYE.idle, 'silent: it did not answer our pings', 'silent')
    })
    this.roster = new Roster({
      clock,
      hasRoom: (id, remote) => this.turnover.makeRoom(id, remote),
      onJoin: (member) => hub.onJoin(member),
      onLeave: (member, reason) => hub.onLeave(member, reason),
      onSurplus: (id) => hub.dismiss(id, GOODBYE.tooMany, 'too many peers', 'surplus')
    })
    this.turnover = new Turnover({
      ...{ clock, random, maxInbound, members: this.roster.members },
      isLeaving: (id) => reasonOf(id) != null,
      isSeed: (id) => book.get(id)?.seed === true,
      rttOf: (id) => this.heartbeat.liveness.rttOf(id),
      outboundFull: () => planner.satisfied && planner.hasSpare(clock.now(), (id) => this.isWelcome(id)),
      onReplaced: (id, why) => {
        planner.hold(id, clock.now(), REPLACED_MS)
        hub.dismiss(id, GOODBYE.tooMany, why === 'evicted' ? 'a newcomer took its place' : 'replaced by another', why)
      }
    })
    this.farewell = new Farewell({
      ...{ clock, connectionManager, log, links: this.links, signal },
      status: () => hub.siblings().status
    })
    this.observer = new Observer({
      ...{ clock, self, book, planner, dialler: this.dialler, links: this.links, roster: this.roster, reasonOf, look },
      log,
      inquiry: () => hub.inquiry(),
      isStopping: () => hub.signal().aborted,
      objection: ({ remotePeer, remoteAddr }) =>
        this.door.denyDialPeer(remotePeer) ? 'not let in' : this.judge.objection(remoteAddr),
      heard: (peer) => hub.heard(peer)
    })
    const warn = (text: string): void => hub.onWarning(text)
    const archive = new Archive({ datastore, book, bans: this.judge.bans, log, warn })
    this.keeper = new Keeper({ clock, archive, book, members: this.roster.members })
    this.metrics = new PeerMetrics(components.metrics, {
      members: () => this.#directions(),
      book: () => book.sizes,
      bans: () => this.judge.bans.list(clock.now()).length
    })
  }

  /** Seeds, this node itself left out. */
  pin(seeds: readonly Seed[]): string[] {
    const others = seeds.filter(({ id }) => id !== this.#components.peerId.toString())
    for (const { id, address } of others) this.book.pin(id, address.toString(), this.clock.now())
    return others.map(({ address }) => address.toString())
  }

  /** For a node that is to introduce and be introduced, under the name of its network. */
  inquiry(chain: string): Inquiry {
    const { peerId: self, peerStore, registrar } = this.#components
    const { clock, random, planner, links, roster } = this
    const { log } = this.#hub
    return new Inquiry({
      ...{ self, peerStore, registrar, chain, clock, log, random },
      members: roster.members,
      signal: () => this.#hub.awake(),
      isVouchedFor: () => this.#hub.siblings().status != null,
      satisfied: () => planner.satisfied || this.#hub.isAsleep(),
      rank: (id) => this.#rank(id),
      spawn: (task) => this.#hub.spawn(task),
      learn: (record, from) => this.#learn(record, from),
      identify: (connection) => links.identify(connection),
      onQuiet: () => this.#hub.onQuiet(),
      onFault: (peer, fault, reason) => this.#hub.fault(peer, fault, reason),
      onError: (err) => log.error('answering a request for introductions failed - %e', err)
    })
  }

  /** Neither banned nor of another chain. */
  isWelcome(id: string): boolean {
    if (this.judge.isBanned(id)) return false
    return this.#hub.siblings().status?.refusal(peerIdFromString(id)) == null
  }

  /** Points of the ledger as gossipsub is told. */
  score(id: string): number {
    return scoreOf(this.judge.ledger.points(id, this.clock.now()))
  }

  get report(): ReportInit {
    const { book, planner, judge, turnover } = this
    return {
      ...{ book, planner, judge, turnover, members: this.roster.members, liveness: this.heartbeat.liveness },
      isWelcome: (id) => this.isWelcome(id),
      score: (id) => this.score(id),
      reasonOf: (id) => this.farewell.reasonOf(id)
    }
  }

  #learn({ id, seq, addresses }: OpenRecord, from: Connection): boolean {
    const isNew = this.book.get(id) == null
    this.book.learn(id, named(addresses, id), this.clock.now(), { source: sourceOf(from.remoteAddr), seq })
    this.#hub.look()
    return isNew && this.book.get(id) != null
  }

  /** Whether a peer is worth being introduced. */
  #rank(id: string): 0 | 1 | 2 {
    const member = this.roster.members.get(id)
    // who serves no blocks would only take the places of those who do
    if (member != null) return member.role === 'light' ? 0 : 2
    const entry = this.book.get(id)
    const isRecent = entry?.provenAt != null && this.clock.now() - entry.endedAt < RECENT_MS
    return isRecent && entry.failures === 0 ? 1 : 0
  }

  #directions(): Record<'inbound' | 'outbound', number> {
    const count = { inbound: 0, outbound: 0 }
    for (const { direction } of this.roster.members.values()) count[direction]++
    return count
  }
}
