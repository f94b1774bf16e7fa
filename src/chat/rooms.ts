import type { ComponentLogger, Connection, Libp2pEvents, PeerId, PrivateKey } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { TypedEventTarget } from 'main-event'
import type { Clock } from '../clock.js'
import { ConfigError, type Fault, NotFoundError, type PeerError } from '../errors.js'
import type { Gossip } from '../gossip/index.js'
import { defineProtocol, type Protocol, rawBytes } from '../protocol/index.js'
import type { Room, RoomInit } from './index.js'
import { checkNickname, OpenRoom } from './room.js'
import { MAX_MESSAGE_BYTES } from './signed-message.js'

/** With `chat.` before it, a name of a topic. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,26}$/
const MAX_ROOMS = 64
/** Messages that are kept, and given to a newcomer. */
const MAX_HISTORY = 1_000

export interface RoomsComponents {
  registrar: Registrar
  connectionManager: ConnectionManager
  logger: ComponentLogger
  privateKey: PrivateKey
  peerId: PeerId
  events: TypedEventTarget<Libp2pEvents>
}

/** What rooms need of their siblings. */
export interface RoomsSiblings {
  gossip: Pick<Gossip, 'topic'>
  chain: { readonly id: string }
}

/** The rooms that this node is in, and their history for those who ask. */
export class Rooms {
  readonly #rooms = new Map<string, OpenRoom>()
  readonly #protocol: Protocol<string, Uint8Array>
  #stop: (() => Promise<void>) | undefined

  constructor(
    private readonly components: RoomsComponents,
    private readonly clock: Clock,
    private readonly onFault: (peer: PeerId, fault: Fault, reason: string) => void
  ) {
    this.#protocol = roomProtocol(clock)
  }

  /** Without a gossip there are no rooms, and nobody to ask us. */
  async start(siblings: RoomsSiblings | undefined): Promise<void> {
    if (siblings == null) return
    this.components.events.addEventListener('peer:disconnect', this.#onDisconnect)
    const onFault = (peer: PeerId, err: PeerError): void => this.onFault(peer, err.fault, err.message)
    this.#stop = await this.#protocol.serve(this.components.registrar, siblings.chain.id, this.#answer, { onFault })
  }

  /** Says goodbye in each. */
  async leave(): Promise<void> {
    await Promise.all([...this.#rooms.values()].map((room) => room.leave()))
  }

  async stop(): Promise<void> {
    this.components.events.removeEventListener('peer:disconnect', this.#onDisconnect)
    for (const room of this.#rooms.values()) room.close()
    await this.#stop?.()
    this.#stop = undefined
  }

  open(name: string, init: RoomInit, siblings: RoomsSiblings | undefined): Room {
    if (siblings == null) {
      throw new ConfigError('chat.room', 'there is no gossip beside the chat', { fix: 'add gossip() to the services' })
    }
    if (this.#stop == null) throw new ConfigError('chat.room', 'the host is not started')
    if (!NAME.test(name)) throw new ConfigError('name', `a room's name must match ${NAME.source}, is '${name}'`)
    if (this.#rooms.has(name)) throw new ConfigError('name', `we are in '${name}' already`)
    if (this.#rooms.size >= MAX_ROOMS) throw new ConfigError('name', `we are in ${MAX_ROOMS} rooms already`)
    const history = init.history ?? 100
    if (!Number.isInteger(history) || history < 0 || history > MAX_HISTORY) {
      throw new ConfigError('history', `${history} is not a whole number from 0 to ${MAX_HISTORY}`)
    }
    checkNickname(init.nickname ?? '')
    const { components, clock } = this
    const room = new OpenRoom(name, init, {
      ...{ self: components.peerId, privateKey: components.privateKey, gossip: siblings.gossip, clock },
      log: components.logger.forComponent('blockwire:chat:room'),
      connections: (peer) => components.connectionManager.getConnections(peer),
      history: (connection: Connection, of, signal) =>
        this.#protocol.request(connection, siblings.chain.id, of, { signal }),
      fault: (peer, err) => this.onFault(peer, err.fault, err.message),
      onLeft: () => this.#rooms.delete(name)
    })
    this.#rooms.set(name, room)
    return room
  }

  readonly #answer = async function* (this: Rooms, name: string): AsyncGenerator<Uint8Array[]> {
    const room = this.#rooms.get(name)
    if (room == null) throw new NotFoundError('not in that room')
    yield room.recorded
  }.bind(this)

  readonly #onDisconnect = ({ detail: peer }: CustomEvent<PeerId>): void => {
    for (const room of this.#rooms.values()) room.lose(peer)
  }
}

function roomProtocol(clock: Clock): Protocol<string, Uint8Array> {
  return defineProtocol({
    name: 'room/1',
    request: { encode: (name: string) => new TextEncoder().encode(name), decode: nameOf },
    item: rawBytes,
    limits: {
      ...{ requestBytes: 32, itemBytes: MAX_MESSAGE_BYTES, items: MAX_HISTORY, answerBytes: 1 << 20 },
      ...{ totalMs: 30_000, inbound: 2 }
    },
    clock
  })
}

/** @throws when it cannot be the name of a room */
function nameOf(bytes: Uint8Array): string {
  const name = new TextDecoder().decode(bytes)
  if (!NAME.test(name)) throw new Error('no name of a room')
  return name
}
