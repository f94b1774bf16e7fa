import type { Connection, Logger, PeerId, Startable, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { TypedEventEmitter } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import { BusyError, ConfigError, type Fault, StreamLostError } from '../errors.js'
import { openStream } from '../protocol/index.js'
import { LineConversation } from './conversation.js'
import type { Chat, ChatComponents, ChatEvents, ChatInit, Conversation } from './index.js'
import { parseTarget, reach } from './reach.js'

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
  readonly #clock: Clock
  /** Open ones. Written here only. */
  readonly #open = new Set<LineConversation>()
  #faults: FaultPort | undefined
  #stopping = new AbortController()

  constructor(components: ChatComponents, init: ChatInit) {
    super()
    this.#components = components
    this.#log = components.logger.forComponent('blockwire:chat')
    this.#maxIncoming = atLeastOne('maxIncoming', init.maxIncoming ?? 32)
    this.#maxPerPeer = atLeastOne('maxPerPeer', init.maxPerPeer ?? 4)
    this.#stallMs = atLeastOne('stallMs', init.stallMs ?? 10_000)
    this.#clock = init.clock ?? systemClock
  }

  get conversations(): Conversation[] {
    return [...this.#open]
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController()
    this.#faults = faultPort(this.#components)
    await this.#components.registrar.handle(PROTOCOL, this.#onStream, {
      maxInboundStreams: this.#maxPerPeer,
      maxOutboundStreams: MAX_OUTBOUND
    })
  }

  /** While the network is still up: goodbye. */
  async beforeStop(): Promise<void> {
    this.#stopping.abort(new StreamLostError('the host stops'))
    const open = [...this.#open]
    const cancel = this.#clock.after(STOP_MS, () => {
      for (const conversation of open) conversation.cut()
    })
    await Promise.all(open.map((conversation) => conversation.finish('stopped')))
    cancel()
  }

  async stop(): Promise<void> {
    await this.#components.registrar.unhandle(PROTOCOL)
    for (const conversation of this.#open) conversation.cut()
  }

  async open(target: PeerId | Multiaddr | string, { signal }: { signal?: AbortSignal } = {}): Promise<Conversation> {
    const address = parseTarget(target)
    const either = AbortSignal.any([this.#stopping.signal, ...(signal == null ? [] : [signal])])
    const connection = await reach(this.#components.connectionManager, address, either)
    const stream = await openStream(connection, PROTOCOL, OPEN_MS, this.#clock, either)
    if (either.aborted) {
      stream.abort(either.reason)
      throw either.reason
    }
    return this.#begin(stream, connection)
  }

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    const incoming = [...this.#open].filter(({ direction }) => direction === 'inbound').length
    if (this.#stopping.signal.aborted) stream.abort(new StreamLostError('the host stops'))
    else if (this.listenerCount('conversation') === 0) stream.abort(new StreamLostError('nobody listens'))
    else if (incoming >= this.#maxIncoming) {
      this.#log('%p is one too many', connection.remotePeer)
      stream.abort(new BusyError(1_000))
    } else this.safeDispatchEvent('conversation', { detail: this.#begin(stream, connection) })
  }

  #begin(stream: Stream, connection: Connection): LineConversation {
    const conversation = new LineConversation(stream, connection, { stallMs: this.#stallMs, clock: this.#clock })
    this.#open.add(conversation)
    conversation.closed.then(({ reason, error }) => {
      this.#open.delete(conversation)
      this.#log('conversation with %p is over: %s', conversation.peer, reason)
      if (error?.fault === 'protocol') this.#faults?.fault(conversation.peer, error.fault, error.message)
    })
    return conversation
  }
}

function atLeastOne(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new ConfigError(option, `${value} is not a whole number from 1 on`)
}

/** libp2p's components throw for a name that is missing. */
function faultPort(components: object): FaultPort | undefined {
  try {
    return (components as { peers?: FaultPort }).peers
  } catch {
    return undefined
  }
}
