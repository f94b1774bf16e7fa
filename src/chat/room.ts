import type { Connection, Logger, PeerId, PrivateKey } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import type { Verdict } from '../chain/index.js'
import { type Clock, steady } from '../clock.js'
import { BusyError, ConfigError, MalformedError, PeerError } from '../errors.js'
import type { Gossip, Topic } from '../gossip/index.js'
import { Rate } from '../rate.js'
import { History } from './history.js'
import type { Room, RoomEvents, RoomInit, RoomMember, RoomMessage } from './index.js'
import { HERE_MS, type Heard, Members } from './members.js'
import {
  decode,
  KIND,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MAX_TEXT_BYTES,
  sign,
  type Unverified,
  verify
} from './signed-message.js'

/** How far a message's clock may be from ours, in ms, either way. What is older may be played back. */
const SKEW_MS = 300_000
/** How often we look who is silent, and whether somebody has come, in ms. */
const TICK_MS = 1_000
/** We answer newcomers no more often than that, in ms. */
const GREET_MS = 2_000
/** Members that are asked for what was said before. */
const MAX_ASKED = 3
/** Of our own, a little below what others take. */
const PER_SECOND = 8
const RATE_MS = 10_000

export interface RoomPort {
  self: PeerId
  privateKey: PrivateKey
  gossip: Pick<Gossip, 'topic'>
  clock: Clock
  log: Logger
  connections(peer: PeerId): Connection[]
  /** Asks a member for what was said before; messages as they came. Rejects with a `PeerError`. */
  history(connection: Connection, room: string, signal: AbortSignal): AsyncIterable<Uint8Array[]>
  fault(peer: PeerId, err: PeerError): void
  /** The room is left. */
  onLeft(): void
}

type Kept = RoomMessage & { id: string; bytes: Uint8Array }

/** See `Room`. */
export class OpenRoom extends TypedEventEmitter<RoomEvents> implements Room {
  readonly name: string
  readonly nickname: string
  readonly #port: RoomPort
  readonly #clock: Clock
  readonly #topic: Topic
  readonly #members = new Members()
  readonly #history: History<Kept>
  readonly #left = new AbortController()
  readonly #own: Rate
  /** Logical time: that of the last message, said or heard. */
  #time = 0
  #saidHere = Number.NEGATIVE_INFINITY
  /** Somebody was there to hear it. */
  #greeted = false
  /** A newcomer has not heard it. */
  #owed = false
  /** How many were asked for history, and whom. */
  readonly #asked = new Set<string>()
  #cancelTick: () => void = () => {}

  constructor(name: string, init: RoomInit, port: RoomPort) {
    super()
    this.name = name
    this.nickname = init.nickname ?? ''
    this.#port = port
    this.#clock = steady(port.clock)
    this.#history = new History(init.history ?? 100)
    this.#own = new Rate(PER_SECOND, RATE_MS, this.#clock.now())
    this.#topic = port.gossip.topic(`chat.${name}`, {
      maxBytes: MAX_MESSAGE_BYTES,
      validate: ({ data, from }) => this.#judge(data, from)
    })
    this.#tick()
  }

  get members(): RoomMember[] {
    return this.#members.here.map(({ sender, name }) => ({ peer: sender, nickname: name }))
  }

  get messages(): RoomMessage[] {
    return this.#history.messages.map(plain)
  }

  /** As they travel, for those who ask. */
  get recorded(): Uint8Array[] {
    return this.#history.messages.map(({ bytes }) => bytes)
  }

  async say(text: string): Promise<{ recipients: number }> {
    const bytes = new TextEncoder().encode(text).byteLength
    if (bytes < 1 || bytes > MAX_TEXT_BYTES) {
      throw new ConfigError('text', `has ${bytes} bytes, a message may have 1 to ${MAX_TEXT_BYTES}`)
    }
    if (!text.isWellFormed()) throw new ConfigError('text', 'holds half of a surrogate pair')
    if (this.#left.signal.aborted) throw new ConfigError('room', `${this.name} was left`)
    if (!this.#own.take(this.#clock.now())) throw new BusyError(1_000, `more than ${PER_SECOND} messages a second`)
    return this.#send(KIND.text, text)
  }

  async leave(): Promise<void> {
    if (this.#left.signal.aborted) return
    this.#left.abort()
    this.#cancelTick()
    await this.#send(KIND.left).catch(() => {})
    this.close()
  }

  /** Without a goodbye. */
  close(): void {
    this.#left.abort()
    this.#cancelTick()
    this.#topic.close()
    this.#port.onLeft()
  }

  /** A connection to this peer is gone. */
  lose(peer: PeerId): void {
    this.#members.lose(peer.toString(), this.#clock.now())
  }

  async #send(kind: number, text = ''): Promise<{ recipients: number }> {
    this.#time = Math.max(this.#port.clock.now(), this.#time + 1)
    const { privateKey } = this.#port
    const clock = this.#time
    const bytes = await sign(privateKey, this.#topic.name, { kind, clock, name: this.nickname, text })
    if (kind === KIND.text) this.#history.add(keptOf(decode(bytes, this.#topic.name)))
    return this.#topic.publish(bytes)
  }

  #tick(): void {
    const now = this.#clock.now()
    for (const { sender, name } of this.#members.expire(now)) {
      this.safeDispatchEvent('leave', { detail: { peer: sender, nickname: name, reason: 'silent' } })
    }
    if (now - this.#saidHere >= (this.#owed ? GREET_MS : this.#greeted ? HERE_MS : 0)) this.#sayHere(now)
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick())
  }

  #sayHere(now: number): void {
    this.#saidHere = now
    this.#owed = false
    this.#send(KIND.here).then(
      ({ recipients }) => {
        this.#greeted = recipients > 0
      },
      (err) => this.#port.log('could not say that we are in %s - %e', this.name, err)
    )
  }

  async #judge(data: Uint8Array, from: PeerId): Promise<Verdict> {
    let message: Unverified
    try {
      message = decode(data.slice(), this.#topic.name)
    } catch (err) {
      return { result: 'reject', reason: 'malformed', detail: (err as Error).message }
    }
    const heard = heardOf(message)
    const ours = message.peer.equals(this.#port.self)
    if (ours || this.#members.knows(heard)) return { result: 'ignore', reason: 'known' }
    const ahead = message.clock - this.#port.clock.now()
    if (Math.abs(ahead) > SKEW_MS) {
      return { result: 'ignore', reason: 'future', detail: `its clock is ${Math.round(ahead / 1_000)} s from ours` }
    }
    if (!(await verify(message))) return { result: 'reject', reason: 'malformed', detail: 'its signature is wrong' }
    // the same may have come from somebody else meanwhile
    if (this.#members.knows(heard)) return { result: 'ignore', reason: 'known' }
    if (!this.#members.admits(heard.sender, this.#clock.now())) return { result: 'ignore', reason: 'full' }
    if (!this.#left.signal.aborted) this.#take(message, heard, from)
    return { result: 'accept' }
  }

  #take(message: Unverified, heard: Heard, from: PeerId): void {
    const now = this.#clock.now()
    this.#time = Math.max(this.#time, message.clock)
    const change = this.#members.hear(heard, now)
    const member = { peer: heard.sender, nickname: message.name }
    if (change === 'joins') {
      this.safeDispatchEvent('join', { detail: member })
      if (now - this.#saidHere >= GREET_MS) this.#sayHere(now)
      else this.#owed = true
    }
    if (message.kind === KIND.text) this.#keep(message, false)
    if (change === 'leaves') this.safeDispatchEvent('leave', { detail: { ...member, reason: 'left' } })
    void this.#ask(from)
  }

  #keep(message: Unverified, past: boolean): void {
    const kept = keptOf(message)
    // what is said now is told, however much of what comes after it in the order is here already
    if (this.#history.add(kept) || !past) this.safeDispatchEvent('message', { detail: { ...plain(kept), past } })
  }

  /** What was said before we came. */
  async #ask(peer: PeerId): Promise<void> {
    const [connection] = this.#port.connections(peer)
    if (connection == null || this.#asked.size >= MAX_ASKED || this.#asked.has(peer.toString())) return
    this.#asked.add(peer.toString())
    try {
      for await (const page of this.#port.history(connection, this.name, this.#left.signal)) {
        for (const bytes of page) await this.#recall(bytes)
      }
    } catch (err) {
      this.#port.log('%p gives no history of %s - %e', peer, this.name, err)
      if (err instanceof PeerError && err.fault !== 'none') this.#port.fault(peer, err)
    }
  }

  /** @throws MalformedError for what the peer could have known to be wrong */
  async #recall(bytes: Uint8Array): Promise<void> {
    const message = decode(bytes.slice(), this.#topic.name)
    const heard = heardOf(message)
    if (message.kind !== KIND.text || message.clock - this.#port.clock.now() > SKEW_MS) return
    const ours = message.peer.equals(this.#port.self)
    if (!ours && this.#members.knows(heard)) return
    if (!(await verify(message))) throw new MalformedError('a message whose signature is wrong')
    if (this.#left.signal.aborted) return
    if (!ours) this.#members.recall(heard, this.#clock.now())
    this.#time = Math.max(this.#time, message.clock)
    this.#keep(message, true)
  }
}

function heardOf({ peer, name, clock, id, kind }: Unverified): Heard {
  return { sender: peer.toString(), name, clock, id, leaves: kind === KIND.left }
}

function keptOf({ peer, name, text, clock, id, bytes }: Unverified): Kept {
  return { sender: peer.toString(), nickname: name, text, clock, id, bytes }
}

function plain({ sender, nickname, text, clock }: Kept): RoomMessage {
  return { sender, nickname, text, clock }
}

/** @throws ConfigError */
export function checkNickname(nickname: string): void {
  const bytes = new TextEncoder().encode(nickname).byteLength
  if (bytes > MAX_NAME_BYTES)
    throw new ConfigError('nickname', `has ${bytes} bytes, at most ${MAX_NAME_BYTES} are possible`)
}
