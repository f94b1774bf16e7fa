import type { Connection, IdentifyResult, Libp2pEvents, Logger, PeerId, PeerInfo } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { Clock } from '../clock.js'
import { named } from './addresses.js'
import type { AddressBook } from './book.js'
import type { Dialler } from './dialler.js'
import { sourceOf } from './group.js'
import type { Inquiry } from './inquiry.js'
import type { Links } from './links.js'
import type { Planner } from './planner.js'
import type { Roster } from './roster.js'
import { inScope } from './scope.js'
import type { StatusLeave, StatusPeer, StatusPort } from './siblings.js'

/** `Goodbye.code` of docs/wire.md, section 1. */
const TOO_MANY_PEERS = 4

export interface ObserverInit {
  clock: Clock
  self: PeerId
  book: AddressBook
  planner: Planner
  dialler: Dialler
  links: Links
  roster: Roster
  inquiry(): Inquiry | undefined
  /** Why we part from this peer, if we do. */
  reasonOf(id: string): string | undefined
  isStopping(): boolean
  heard(peer: PeerId): void
  /** Why this connection may not stand: banned, or nobody is let in. */
  objection(connection: Connection): string | undefined
  log: Logger
  /** Something changed: look whom to dial. */
  look(): void
}

type Listener<Detail> = (event: CustomEvent<Detail>) => void

/** Tells the parts what happens in libp2p and in status. A listener that threw would end the process: these say so and go on. */
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

  #safe<Detail>(listener: Listener<Detail>): Listener<Detail> {
    return (event) => {
      try {
        listener(event)
      } catch (err) {
        this.#init.log.error('an event could not be taken - %e', err)
      }
    }
  }

  close(): void {
    this.shut()
    this.#events?.removeEventListener('connection:close', this.#onClose)
    this.#status?.removeEventListener('leave', this.#onStatusLeave)
  }

  readonly #onOpen = this.#safe<Connection>(({ detail: connection }) => {
    const { planner, links, clock, objection } = this.#init
    if (connection.status !== 'open') return
    // it was on its way in when that was decided
    const why = objection(connection)
    if (why != null) {
      connection.abort(new Error(why))
      return
    }
    links.opened(connection)
    const { remotePeer, direction, remoteAddr, limits } = connection
    const id = remotePeer.toString()
    // a link through a relay is a way to a direct one, and no peer yet; which of two direct ones counts shows when one of them goes
    if (limits == null && !planner.isLinked(id)) planner.opened(id, direction, clock.now(), remoteAddr)
  })

  readonly #onClose = this.#safe<Connection>(({ detail: connection }) => {
    const { planner, links, roster, dialler, clock, reasonOf, isStopping, look } = this.#init
    const id = connection.remotePeer.toString()
    const left = links.closed(connection)
    if (left != null) planner.opened(id, left.direction, clock.now(), left.remoteAddr)
    if (left != null || connection.limits != null) return
    const parting = reasonOf(id)
    const reason = parting ?? 'the connection closed'
    planner.closed(id, clock.now(), reason, parting != null || isStopping())
    if (this.#status == null) roster.leave(id, reason)
    dialler.lost(id, reason)
    look()
  })

  readonly #onIdentify = this.#safe<IdentifyResult>(({ detail }) => {
    const { book, links, roster, clock, inquiry, heard, look } = this.#init
    const { connection, peerId, signedPeerRecord } = detail
    if (connection.status !== 'open') return
    const id = peerId.toString()
    const claimed = signedPeerRecord?.addresses ?? detail.listenAddrs
    const addresses = claimed.filter((address) => inScope(address, connection.remoteAddr))
    const hint = { source: sourceOf(connection.remoteAddr), seq: signedPeerRecord?.seq }
    book.learn(id, named(addresses, id), clock.now(), hint)
    if (signedPeerRecord != null) inquiry()?.identified(peerId, claimed, detail.protocols)
    links.identified(connection)
    if (this.#status == null && connection.limits == null) roster.join(peerId, connection)
    heard(peerId)
    look()
  })

  readonly #onDiscovery = this.#safe<PeerInfo>(({ detail: { id: peer, multiaddrs } }) => {
    const { self, planner, book, clock, look } = this.#init
    const id = peer.toString()
    // libp2p also "discovers" whoever connects, with whatever addresses it claims: those are taken from identify, by scope
    if (peer.equals(self) || multiaddrs.length === 0 || planner.isLinked(id)) return
    book.learn(id, named(multiaddrs, id), clock.now(), { source: 'discovery' })
    look()
  })

  readonly #onStatusJoin = this.#safe<StatusPeer>(({ detail }) => {
    this.#init.roster.join(detail.peer, detail.connection, detail.role)
  })

  readonly #onStatusLeave = this.#safe<StatusLeave>(({ detail }) => {
    const id = detail.peer.toString()
    if (detail.code === TOO_MANY_PEERS) this.#init.planner.isFull(id)
    this.#init.roster.leave(id, this.#init.reasonOf(id) ?? detail.reason)
  })
}
