import type { Connection, IdentifyResult, Libp2pEvents, PeerId, PeerInfo } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { Clock } from '../clock.js'
import { type AddressBook, named } from './book.js'
import type { Dialler } from './dialler.js'
import type { Inquiry } from './inquiry.js'
import type { Links } from './links.js'
import type { Planner } from './planner.js'
import type { Roster } from './roster.js'
import { inScope } from './scope.js'
import type { StatusPeer, StatusPort } from './siblings.js'

export interface ObserverInit {
  clock: Clock
  self: PeerId
  maxInbound: number
  book: AddressBook
  planner: Planner
  dialler: Dialler
  links: Links
  roster: Roster
  inquiry(): Inquiry | undefined
  /** Why we part from this peer, if we do. */
  reasonOf(id: string): string | undefined
  heard(peer: PeerId): void
  /** Something changed: look whom to dial. */
  look(): void
}

/** Tells the parts what happens in libp2p and in status. Its listeners do not throw: that would end the process. */
export class Observer {
  readonly #init: ObserverInit
  #events: TypedEventTarget<Libp2pEvents> | undefined
  #status: StatusPort | undefined

  constructor(init: ObserverInit) {
    this.#init = init
  }

  open(events: TypedEventTarget<Libp2pEvents>, status: StatusPort | undefined): void {
    this.#events = events
    this.#status = status
    events.addEventListener('connection:open', this.#onOpen)
    events.addEventListener('connection:close', this.#onClose)
    events.addEventListener('peer:identify', this.#onIdentify)
    events.addEventListener('peer:discovery', this.#onDiscovery)
    status?.addEventListener('join', this.#onStatusJoin)
    status?.addEventListener('leave', this.#onStatusLeave)
  }

  /** Nobody new is taken notice of; who goes still is. */
  shut(): void {
    this.#events?.removeEventListener('connection:open', this.#onOpen)
    this.#events?.removeEventListener('peer:identify', this.#onIdentify)
    this.#events?.removeEventListener('peer:discovery', this.#onDiscovery)
    this.#status?.removeEventListener('join', this.#onStatusJoin)
  }

  close(): void {
    this.shut()
    this.#events?.removeEventListener('connection:close', this.#onClose)
    this.#status?.removeEventListener('leave', this.#onStatusLeave)
  }

  readonly #onOpen = ({ detail: connection }: CustomEvent<Connection>): void => {
    const { planner, links, book, roster, clock, maxInbound } = this.#init
    if (connection.status !== 'open') return
    const id = connection.remotePeer.toString()
    planner.opened(id, connection.direction, clock.now())
    links.opened(connection)
    const over = connection.direction === 'inbound' && planner.inbound > maxInbound
    if (over && book.get(id)?.seed !== true) roster.turnAway(id)
  }

  readonly #onClose = ({ detail: connection }: CustomEvent<Connection>): void => {
    const { planner, links, roster, dialler, clock, reasonOf, look } = this.#init
    if (links.closed(connection).length > 0) return
    const id = connection.remotePeer.toString()
    const reason = reasonOf(id) ?? 'the connection closed'
    roster.gone(id)
    planner.closed(id, clock.now(), reason)
    if (this.#status == null) roster.leave(id, reason)
    dialler.lost(id, reason)
    look()
  }

  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const { book, links, roster, clock, inquiry, heard, look } = this.#init
    const { connection, peerId, signedPeerRecord } = detail
    if (connection.status !== 'open') return
    const id = peerId.toString()
    const claimed = signedPeerRecord?.addresses ?? detail.listenAddrs
    const addresses = claimed.filter((address) => inScope(address, connection.remoteAddr))
    book.learn(id, named(addresses, id), clock.now(), signedPeerRecord?.seq)
    if (signedPeerRecord != null) inquiry()?.identified(peerId, claimed)
    links.identified(connection)
    if (this.#status == null) roster.join(peerId, connection)
    heard(peerId)
    look()
  }

  readonly #onDiscovery = ({ detail: { id: peer, multiaddrs } }: CustomEvent<PeerInfo>): void => {
    const { self, planner, book, clock, look } = this.#init
    const id = peer.toString()
    // libp2p also "discovers" whoever connects, with whatever addresses it claims: those are taken from identify, by scope
    if (peer.equals(self) || multiaddrs.length === 0 || planner.isLinked(id)) return
    book.learn(id, named(multiaddrs, id), clock.now())
    look()
  }

  readonly #onStatusJoin = ({ detail }: CustomEvent<StatusPeer>): void => {
    this.#init.roster.join(detail.peer, detail.connection, detail.role)
  }

  readonly #onStatusLeave = ({ detail }: CustomEvent<{ peer: PeerId; reason: string }>): void => {
    const id = detail.peer.toString()
    this.#init.roster.leave(id, this.#init.reasonOf(id) ?? detail.reason)
  }
}
