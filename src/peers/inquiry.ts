import type { Connection, PeerId, PeerStore } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { pause } from '../clock.js'
import type { Fault, PeerError } from '../errors.js'
import { textOf } from './dialler.js'
import type { JoinedPeer } from './index.js'
import { Introductions, type IntroductionsInit } from './introductions.js'
import { type OpenRecord, openRecord } from './record.js'

/** How long after it joined a peer is asked for others, at least; at most twice that. */
const ASK_MS = 400
/** A peer without a signed record is identified once more after this time: it may not have known its addresses yet. */
const RECORD_MS = 5000

export interface InquiryInit extends Omit<IntroductionsInit, 'onFault' | 'onNewcomer'> {
  self: PeerId
  peerStore: PeerStore
  /** Who can be asked. */
  members: ReadonlyMap<string, JoinedPeer>
  /** Aborts when the service stops or is suspended. */
  signal(): AbortSignal
  /** Whether a status service says who belongs to the network. */
  isVouchedFor(): boolean
  /** Whether we have all the peers we want. */
  satisfied(): boolean
  /** Takes care of work that goes on by itself. */
  spawn(task: Promise<unknown>): void
  /** Takes a peer that somebody introduced. True when it is a new one. */
  learn(record: OpenRecord, from: Connection): boolean
  onFault(peer: PeerId, fault: Fault, reason: string): void
  /** Identifies a peer once more. */
  identify(connection: Connection): Promise<void>
  /** A question has been answered, or has failed. */
  onQuiet(): void
}

/** Asks for introductions as long as we want more peers, and answers those who ask us. */
export class Inquiry {
  readonly #init: InquiryInit
  readonly #introductions: Introductions
  readonly #recordless = new Map<string, number>()
  #asking = 0

  constructor(init: InquiryInit) {
    this.#init = init
    this.#introductions = new Introductions({
      ...init,
      onNewcomer: (record, from) => {
        if (record.id !== init.self.toString()) init.learn(record, from)
      },
      onFault: (peer, err) => init.onFault(peer, err.fault, `introductions: ${err.message}`)
    })
  }

  serve(): Promise<() => Promise<void>> {
    return this.#introductions.serve()
  }

  /** A peer was identified: keeps the record that it gave of itself. Where nobody else says who belongs to us, our protocol does. */
  identified(peer: PeerId, addresses: readonly Multiaddr[], protocols: readonly string[]): void {
    if (this.#init.isVouchedFor() || protocols.includes(this.#introductions.id))
      this.#init.spawn(this.#keepRecord(peer, addresses))
  }

  joined(member: JoinedPeer): void {
    this.#recordless.set(member.peer.toString(), member.since + RECORD_MS)
    this.#introductions.hurry()
    this.#passOn(member)
    this.#init.spawn(this.#count(this.#askSoon(member)))
  }

  /** Nothing is being asked, or about to be. */
  get isQuiet(): boolean {
    return this.#asking === 0
  }

  left(id: string): void {
    this.#recordless.delete(id)
  }

  /** To be called every second. */
  look(): void {
    const { clock, members, satisfied, spawn, identify } = this.#init
    for (const [id, due] of this.#recordless) {
      if (due > clock.now()) continue
      this.#recordless.delete(id)
      const member = members.get(id)
      if (member != null && !this.#introductions.knows(id)) spawn(identify(member.connection))
    }
    if (satisfied()) return
    const member = members.get(this.#introductions.choose([...members.keys()]) ?? '')
    if (member != null) spawn(this.#count(this.#ask(member)))
  }

  async #count(task: Promise<void>): Promise<void> {
    this.#asking++
    try {
      await task
    } finally {
      this.#asking--
      this.#init.onQuiet()
    }
  }

  /** Others hear of somebody who came to us: whoever is dialled has been heard of already. Nobody looks for a light node. */
  #passOn({ peer, direction, role }: JoinedPeer): void {
    const { members, signal, spawn } = this.#init
    if (direction !== 'inbound' || role === 'light') return
    const others = [...members.values()].filter((other) => !other.peer.equals(peer)).map(({ connection }) => connection)
    for (const task of this.#introductions.passOn(peer.toString(), others, signal())) spawn(task)
  }

  /** Not at once: peers that start together with us have not met the one we ask either. */
  async #askSoon(member: JoinedPeer): Promise<void> {
    const { clock, random, signal, members } = this.#init
    const id = member.peer.toString()
    await pause(clock, ASK_MS * (1 + random()), signal())
    if (members.has(id) && this.#introductions.mayAsk(id)) await this.#ask(member)
  }

  async #ask(member: JoinedPeer): Promise<void> {
    const { signal, satisfied, self, learn, log, onFault } = this.#init
    if (satisfied() || signal().aborted) return
    try {
      let fresh = false
      for (const record of await this.#introductions.ask(member.connection, signal())) {
        if (record.id !== self.toString()) fresh = learn(record, member.connection) || fresh
      }
      if (fresh) this.#introductions.hurry()
    } catch (err) {
      if (signal().aborted || member.connection.status !== 'open') return
      const { name, fault } = err as PeerError
      if (name === 'UnsupportedError' || fault == null) log('no introductions from %p: %s', member.peer, textOf(err))
      else onFault(member.peer, fault, `introductions: ${textOf(err)}`)
    }
  }

  async #keepRecord(peer: PeerId, addresses: readonly Multiaddr[]): Promise<void> {
    const { peerStore, signal, log, members } = this.#init
    try {
      const { peerRecordEnvelope } = await peerStore.get(peer, { signal: signal() })
      if (peerRecordEnvelope == null) return
      // libp2p takes records that others refuse, and we would be charged for passing one on
      const { id } = await openRecord(peerRecordEnvelope)
      if (peer.toString() !== id) return
      this.#introductions.remember(id, peerRecordEnvelope, addresses)
      const member = members.get(id)
      if (member != null) this.#passOn(member)
    } catch (err) {
      log('no record of %p: %s', peer, textOf(err))
    }
  }
}
