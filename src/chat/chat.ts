import type { Connection, Logger, PeerId, Startable, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { TypedEventEmitter } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import { BusyError, ConfigError, type Fault, PeerError, StreamLostError } from '../errors.js'
import { toHex } from '../hex.js'
import type { Hello } from '../pb/chat.js'
import { openStream } from '../protocol/index.js'
import { ConfirmedConversation, type ConfirmedInit } from './confirmed.js'
import { LineConversation } from './conversation.js'
import type { Chat, ChatComponents, ChatEvents, ChatInit, Conversation, Room, RoomInit } from './index.js'
import { CONFIRMED, Link, REFUSED, readAnswer, readOpening } from './link.js'
import { again, parseTarget, reach } from './reach.js'
import { Rooms, type RoomsSiblings } from './rooms.js'

/** The ID of go-libp2p's chat example. */
export const PROTOCOL = '/chat/1.0.0'

/** How long a peer may take to agree to a conversation, in ms. */
const OPEN_MS = 10_000
/** How long all peers together may take to close theirs when we stop, in ms. */
const STOP_MS = 500
/** Streams of ours on one connection. */
const MAX_OUTBOUND = 16

/** What is told of a peer that breaks the rules. */
interface FaultPort {
  fault(peer: PeerId, fault: Fault, reason: string): void
}

/** See `Chat`. */
export class ChatService extends TypedEventEmitter<ChatEvents> implements Chat, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/chat'
  readonly #components: ChatComponents
  readonly #log: Logger
  readonly #maxIncoming: number
  readonly #maxPerPeer: number
  readonly #stallMs: number
  readonly #awayMs: number
  readonly #clock: Clock
  /** Open ones. Written here only. */
  readonly #open = new Set<LineConversation | ConfirmedConversation>()
  /** Confirmed ones that others began, by peer and ID. */
  readonly #incoming = new Map<string, ConfirmedConversation>()
  readonly #rooms: Rooms
  #faults: FaultPort | undefined
  #stopping = new AbortController()

  constructor(components: ChatComponents, init: ChatInit) {
    super()
    this.#components = components
    this.#log = components.logger.forComponent('blockwire:chat')
    this.#maxIncoming = atLeast(1, 'maxIncoming', init.maxIncoming ?? 32)
    this.#maxPerPeer = atLeast(1, 'maxPerPeer', init.maxPerPeer ?? 4)
    this.#stallMs = atLeast(1, 'stallMs', init.stallMs ?? 10_000)
    this.#awayMs = atLeast(0, 'awayMs', init.awayMs ?? 120_000)
    this.#clock = init.clock ?? systemClock
    this.#rooms = new Rooms(components, this.#clock, (peer, fault, reason) => this.#faults?.fault(peer, fault, reason))
  }

  get conversations(): Conversation[] {
    return [...this.#open]
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController()
    this.#faults = sibling<FaultPort>(this.#components, 'peers')
    // what is over our own limits is told so
    const limits = { maxInboundStreams: this.#maxPerPeer + 4, maxOutboundStreams: MAX_OUTBOUND }
    await this.#components.registrar.handle(CONFIRMED, this.#onConfirmed, limits)
    await this.#components.registrar.handle(PROTOCOL, this.#onLines, limits)
    await this.#rooms.start(this.#roomSiblings())
  }

  /** While the network is still up: goodbye. */
  async beforeStop(): Promise<void> {
    this.#stopping.abort(new StreamLostError('the host stops'))
    const open = [...this.#open]
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.after(STOP_MS, () => {
        for (const conversation of open) conversation.cut()
        resolve()
      })
    })
    // a goodbye to a room waits while links are full
    const left = Promise.race([this.#rooms.leave(), late])
    await Promise.all([left, ...open.map((conversation) => conversation.finish('stopped'))])
    cancel()
  }

  async stop(): Promise<void> {
    await this.#rooms.stop()
    await this.#components.registrar.unhandle(CONFIRMED)
    await this.#components.registrar.unhandle(PROTOCOL)
    for (const conversation of this.#open) conversation.cut()
  }

  async open(target: PeerId | Multiaddr | string, { signal }: { signal?: AbortSignal } = {}): Promise<Conversation> {
    const address = parseTarget(target)
    const either = AbortSignal.any([this.#stopping.signal, ...(signal == null ? [] : [signal])])
    const connection = await reach(this.#components.connectionManager, address, either)
    const stream = await openStream(connection, [CONFIRMED, PROTOCOL], OPEN_MS, this.#clock, either)
    if (either.aborted) {
      stream.abort(either.reason)
      throw either.reason
    }
    if (stream.protocol === PROTOCOL) return this.#beginLines(stream, connection)
    const peer = connection.remotePeer
    const id = crypto.getRandomValues(new Uint8Array(16))
    const { link, received } = await this.#greet(stream, connection, { id, resume: false, received: 0 }, either)
    const conversation = this.#confirmed({
      ...{ peer, direction: 'outbound' },
      reopen: (given) =>
        this.#reopen(again(address, peer), { id, resume: true, received: conversation.received }, given)
    })
    try {
      conversation.attach(link, received)
    } catch (err) {
      link.abort(err as Error)
      conversation.giveUp(err as PeerError)
      throw err
    }
    return conversation
  }

  async #reopen(
    target: PeerId | Multiaddr,
    hello: Hello,
    signal: AbortSignal
  ): Promise<{ link: Link; received: number }> {
    const either = AbortSignal.any([this.#stopping.signal, signal])
    const connection = await reach(this.#components.connectionManager, target, either)
    const stream = await openStream(connection, CONFIRMED, OPEN_MS, this.#clock, either)
    return this.#greet(stream, connection, hello, either)
  }

  room(name: string, init: RoomInit = {}): Room {
    return this.#rooms.open(name, init, this.#roomSiblings())
  }

  #roomSiblings(): RoomsSiblings | undefined {
    const gossip = sibling<RoomsSiblings['gossip']>(this.#components, 'gossip')
    const chain = sibling<RoomsSiblings['chain']>(this.#components, 'chain')
    return gossip == null || chain == null ? undefined : { gossip, chain }
  }

  /** A stream of go-libp2p's chat example. */
  readonly #onLines = (stream: Stream, connection: Connection): void => {
    const refused = this.#refusal(connection.remotePeer)
    if (refused != null) {
      this.#log('conversation of %p refused: %d', connection.remotePeer, refused)
      stream.abort(new StreamLostError('the conversation is refused'))
    } else this.safeDispatchEvent('conversation', { detail: this.#beginLines(stream, connection) })
  }

  /** A stream of one of our own kind: a conversation begins or goes on. */
  readonly #onConfirmed = async (stream: Stream, connection: Connection): Promise<void> => {
    const link = this.#link(stream, connection)
    const peer = connection.remotePeer
    try {
      const { id, resume, received } = await readOpening(link)
      const key = `${peer}/${toHex(id)}`
      const known = this.#incoming.get(key)
      if (resume !== (known != null)) return link.refuse(REFUSED.unknown)
      const refused = known == null ? this.#refusal(peer) : undefined
      if (refused != null) return link.refuse(refused)
      const conversation = known ?? this.#confirmed({ peer, direction: 'inbound' })
      link.greet({ id: new Uint8Array(), resume, received: conversation.received })
      conversation.attach(link, received)
      if (known != null) return
      this.#incoming.set(key, conversation)
      conversation.closed.then(() => this.#incoming.delete(key))
      this.safeDispatchEvent('conversation', { detail: conversation })
    } catch (err) {
      link.abort(err as Error)
      this.#charge(peer, err)
    }
  }

  #charge(peer: PeerId, err: unknown): void {
    if (err instanceof PeerError && err.fault === 'protocol') this.#faults?.fault(peer, err.fault, err.message)
  }

  /** Why one more of a peer cannot begin; undefined when it can. Who is away makes room. */
  #refusal(peer: PeerId): number | undefined {
    if (this.#stopping.signal.aborted || this.listenerCount('conversation') === 0) return REFUSED.nobody
    const incoming = [...this.#open].filter(({ direction }) => direction === 'inbound')
    const own = incoming.filter((conversation) => conversation.peer.equals(peer))
    if (own.length >= this.#maxPerPeer && !makeRoom(own)) return REFUSED.busy
    if (own.length < this.#maxPerPeer && incoming.length >= this.#maxIncoming && !makeRoom(incoming))
      return REFUSED.busy
    return undefined
  }

  /** Reopens the conversation `id`, or opens it. */
  async #greet(stream: Stream, connection: Connection, hello: Hello, signal: AbortSignal) {
    const link = this.#link(stream, connection)
    const onAbort = (): void => link.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    try {
      signal.throwIfAborted()
      link.greet(hello)
      return { link, received: await readAnswer(link) }
    } catch (err) {
      link.abort(err as Error)
      this.#charge(connection.remotePeer, err)
      throw err
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #link(stream: Stream, connection: Connection): Link {
    return new Link(stream, connection, { stallMs: this.#stallMs, clock: this.#clock })
  }

  #beginLines(stream: Stream, connection: Connection): LineConversation {
    return this.#keep(new LineConversation(stream, connection, { stallMs: this.#stallMs, clock: this.#clock }))
  }

  #confirmed(init: Pick<ConfirmedInit, 'peer' | 'direction' | 'reopen'>): ConfirmedConversation {
    return this.#keep(new ConfirmedConversation({ ...init, awayMs: this.#awayMs, clock: this.#clock }))
  }

  #keep<T extends LineConversation | ConfirmedConversation>(conversation: T): T {
    this.#open.add(conversation)
    conversation.closed.then(({ reason, error }) => {
      this.#open.delete(conversation)
      this.#log('conversation with %p is over: %s', conversation.peer, reason)
      this.#charge(conversation.peer, error)
    })
    return conversation
  }
}

/** Ends the one whose peer has been away, the oldest first. */
function makeRoom(conversations: (LineConversation | ConfirmedConversation)[]): boolean {
  for (const conversation of conversations) {
    if (conversation.connected || !(conversation instanceof ConfirmedConversation)) continue
    conversation.giveUp(new BusyError(1_000, 'another conversation took its place'))
    return true
  }
  return false
}

function atLeast(least: number, option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new ConfigError(option, `${value} is not a whole number from ${least} on`)
}

/** A service that may be missing: reading it throws then. */
function sibling<T>(components: object, name: string): T | undefined {
  try {
    return (components as Record<string, T>)[name]
  } catch {
    return undefined
  }
}
