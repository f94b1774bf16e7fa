/**
 * @packageDocumentation
 * Conversations: lines of text with one peer at a time. Works in any libp2p, with or without a chain. Between two blockwire nodes
 * (`/blockwire/chat/1`) each line is acknowledged, and a conversation survives the loss of its connection: what was not acknowledged is
 * sent again when the peer is back, and each line comes once and in order. With others they are those of go-libp2p's chat example
 * (`/chat/1.0.0`): delivery is unconfirmed. A peer that quits, whatever it was doing, ends its conversation and nothing else.
 * `docs/wire.md` has the wire.
 *
 * @example
 * ```ts
 * const host = await createLibp2p({ ..., services: { identify: identify(), chat: chat() } })
 * const { chat } = host.services
 *
 * chat.addEventListener('conversation', async ({ detail: conversation }) => {
 *   for await (const line of conversation) console.log(printable(line))
 *   const { reason } = await conversation.close()
 *   console.log(`${conversation.peer} is gone: ${reason}`)
 * })
 *
 * const conversation = await chat.open('/ip4/127.0.0.1/tcp/5001/p2p/12D3KooW...')
 * await conversation.send('hello')
 * ```
 *
 * Rooms are for more than two, over gossip: `chat.room('lobby', { nickname: 'ana' })`. In a node of a chain, give `createNode` the option
 * `services: { chat: chat() }`: its rooms are those of that chain.
 *
 * A conversation is a duplex that `it-pipe` joins: `pipe(lines, conversation, show)`.
 */
import type { ComponentLogger, Libp2pEvents, PeerId, PrivateKey } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { TypedEventTarget } from 'main-event'
import type { Clock } from '../clock.js'
import type { PeerError } from '../errors.js'
import { ChatService } from './chat.js'

export { printable } from './printable.js'
export { MAX_LINE_BYTES } from './text.js'

export interface ChatInit {
  /**
   * Conversations that others began with us, at one time, those whose peer is away included; one of these makes room for a new one, and
   * otherwise more are refused. @default 32
   */
  maxIncoming?: number
  /** The same for each peer. @default 4 */
  maxPerPeer?: number
  /**
   * How long a stream may leave what we send unread, in ms: then it is reset. An unconfirmed conversation is over with it.
   * @default 10_000
   */
  stallMs?: number
  /**
   * How long a peer may be away before a confirmed conversation is over, in ms. Who opened it tries to reach the other at once, and
   * then with pauses of up to 5 s. 0: it is over with its connection. @default 120_000
   */
  awayMs?: number
  clock?: Clock
}

/**
 * What the chat needs of its host. A service `peers` is told of broken rules when it stands beside; rooms need `gossip` and its `chain`.
 */
export interface ChatComponents {
  registrar: Registrar
  connectionManager: ConnectionManager
  logger: ComponentLogger
  privateKey: PrivateKey
  peerId: PeerId
  events: TypedEventTarget<Libp2pEvents>
}

export interface ChatEvents {
  /**
   * A peer began a conversation with us. While nobody listens, they are reset: what nobody would read is not kept. Read it, and
   * close it when its lines have ended.
   */
  conversation: CustomEvent<Conversation>
}

/** The service. `stop` says goodbye: it closes every conversation in order, and after half a second without order. */
export interface Chat extends TypedEventTarget<ChatEvents> {
  /** Open ones, oldest first. */
  readonly conversations: Conversation[]
  /**
   * Begins a conversation, over the connection that is there or a new one. A string is a multiaddr or a peer ID. Each call gives
   * another conversation.
   *
   * @throws ConfigError when a string is neither; UnreachableError when the peer cannot be reached; UnsupportedError when it has
   * no chat; NotFoundError when nobody waits for conversations there; TimeoutError, StreamLostError, BusyError when none comes about; the
   * reason of `signal`
   */
  open(target: PeerId | Multiaddr | string, options?: { signal?: AbortSignal }): Promise<Conversation>
  /**
   * Goes into a room, which is there for everyone who names it. Needs `gossip()` beside, and a started host.
   *
   * @param name `[a-z0-9][a-z0-9_-]{0,26}`
   * @throws ConfigError for a name or an option that cannot work, or when we are in that room
   */
  room(name: string, init?: RoomInit): Room
}

export interface RoomInit {
  /** What others see beside our peer ID, at most 32 bytes. Nobody checks that it is ours alone. @default none */
  nickname?: string
  /** How many of the last messages are kept and given to newcomers, 0 to 1,000. @default 100 */
  history?: number
}

/** Somebody who is in a room. */
export interface RoomMember {
  /** Peer ID; it is proven by a signature. */
  peer: string
  /** As chosen by the member: show it through `printable`. */
  nickname: string
}

/** What somebody said. Its signature was checked. */
export interface RoomMessage {
  /** Peer ID. */
  sender: string
  nickname: string
  /** Anything may be in it, line breaks too: show it through `printable`. */
  text: string
  /** Logical time: ms since 1970 by the sender's clock, or later when it had heard something later. */
  clock: number
}

export interface RoomEvents {
  /** Somebody else said something. `past`: before we came. Nothing comes twice; `messages` has the order. */
  message: CustomEvent<RoomMessage & { past: boolean }>
  join: CustomEvent<RoomMember>
  /** `left`: it said goodbye. `silent`: nothing was heard of it for 35 s, or for 12 s after our connection to it was lost. */
  leave: CustomEvent<RoomMember & { reason: 'left' | 'silent' }>
}

/**
 * A room: everyone in it hears what each says, whether connected or through others. Each message is signed by its sender over network,
 * room, time and text. At most 10 messages a second are taken from one sender, on average over 10 s, and 256 senders are remembered.
 * Messages whose clock is more than five minutes from ours are left aside. `stop` leaves every room.
 */
export interface Room extends TypedEventTarget<RoomEvents> {
  readonly name: string
  readonly nickname: string
  /** Who is here, ourselves apart. */
  readonly members: RoomMember[]
  /** The last ones, ours too, by logical time and sender: the same order for all who have them. */
  readonly messages: RoomMessage[]
  /**
   * Says something. Resolves when it is handed to those who are connected to us, with their number; what is said to nobody is kept for
   * newcomers. Rejects with ConfigError when `text` has not 1 to 8,192 bytes, and with BusyError over 8 a second.
   */
  say(text: string): Promise<{ recipients: number }>
  /** Says goodbye. */
  leave(): Promise<void>
}

/**
 * Why a conversation is over. `closed`: by us. `stopped`: our host stops. `left`: the other side closed it in order. `lost`: the
 * connection is gone (and the peer did not come back in time), the stream was reset, or it ended inside a line. `slow`: the other side did
 * not read what we sent. `too-large`: it sent a line over the limit. `violation`: it broke the rules in another way.
 */
export type EndReason = 'closed' | 'stopped' | 'left' | 'lost' | 'slow' | 'too-large' | 'violation'

export interface Ending {
  reason: EndReason
  /** With `lost`, `slow`, `too-large` and `violation`: what happened, and by its `fault` how bad that was. */
  error?: PeerError
}

export interface ConversationEvents {
  /** The connection is lost, and the peer is waited for. What is sent now waits. Only where delivery is confirmed. */
  away: Event
  /** The peer is back: what waits is sent. */
  back: Event
}

/**
 * Lines of text with a peer. Each side closes its own: when the lines have ended, the other side says no more, and may still read
 * what we send until `close`.
 *
 * Iterating gives the lines as they came: anything may be in them, so show them through `printable`. Bytes that are no UTF-8 are
 * U+FFFD. At most 256 KiB wait to be read, then the other side is made to wait. The iterator never throws: `closed` says why it
 * ended. Leaving the loop leaves the rest for the next one.
 */
export interface Conversation extends AsyncIterable<string>, TypedEventTarget<ConversationEvents> {
  readonly peer: PeerId
  /** `inbound`: the peer began it. */
  readonly direction: 'inbound' | 'outbound'
  /**
   * `confirmed`: the other side says which lines have arrived, and a lost connection is mended. `unconfirmed`: nobody says whether a
   * line has arrived.
   */
  readonly delivery: 'confirmed' | 'unconfirmed'
  /** There is a stream. */
  readonly connected: boolean
  /** Lines of ours that are not acknowledged, or where nobody does that, not sent. */
  readonly waiting: number
  /**
   * Sends a line. Where delivery is confirmed, resolves when it has arrived: it waits in the memory of the other side until it is read
   * there. Otherwise when the stream has taken it, and nobody knows whether it arrives. A rejection may be left alone.
   *
   * Rejects with StreamLostError when the conversation is over or closed: then nobody knows of a confirmed line whether it arrived. And
   * with BusyError when 1,000 lines or 1 MiB wait already.
   *
   * @throws ConfigError when `text` holds `\n` or has over 65,536 bytes
   */
  send(text: string): Promise<void>
  /** The lines, for `it-pipe`. */
  readonly source: AsyncIterable<string>
  /** Sends each line of a source, waiting while too much waits, then closes our side. Rejects when the conversation is over before. */
  readonly sink: (source: AsyncIterable<string> | Iterable<string>) => Promise<void>
  /**
   * Sends what waits, closes our side, and waits for the other to close its own. When 3 s have brought neither an acknowledgement nor that,
   * it is over all the same. Resolves with `closed`, never rejects.
   */
  close(): Promise<Ending>
  /** Resolves when both sides are closed, or all is lost. Never rejects. Lines that came before may still be read. */
  readonly closed: Promise<Ending>
}

/**
 * Makes the service for `createLibp2p({ services: { chat: chat() } })`.
 *
 * @throws ConfigError for a limit that cannot work
 */
export function chat(init: ChatInit = {}): (components: ChatComponents) => Chat {
  return (components) => new ChatService(components, init)
}
