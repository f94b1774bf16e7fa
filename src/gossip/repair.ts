import type { Connection, IdentifyResult, Libp2pEvents, Logger, PeerId, Stream } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { Clock } from '../clock.js'
import { compareBytes } from '../hex.js'
import type { RawGossipsub } from './raw.js'

/** libp2p's identify: when it is done again, gossipsub opens the stream that it lacks. */
export interface GossipIdentify {
  identify(connection: Connection, options?: { signal?: AbortSignal }): Promise<unknown>
}

/**
 * A link may be broken for so long before it is repaired: streams open one after the other, and duplicate connections close. The end
 * with the lower ID goes first, so that the ends do not undo each other's repair.
 */
const FIRST_MS = 2_000
const SECOND_MS = 5_000
/** Between tries; doubles each time. */
const AGAIN_MS = 4_000
const MAX_AGAIN_MS = 60_000
/** Then the link is left as it is until the peer has another connection. */
const MAX_TRIES = 6
/** A link that held for so long counts as new. */
const PROVEN_MS = 60_000
const IDENTIFY_MS = 10_000

export interface RepairInit {
  clock: Clock
  self: PeerId
  log: Logger
  pubsub: RawGossipsub
  connections(peer: PeerId): Connection[]
  /** Does this peer belong to us? Strangers are not worth it. */
  joined(peer: string): boolean
  identify(): GossipIdentify | undefined
}

interface Watch {
  readonly peer: PeerId
  /** The one that was identified last: another is another chance. */
  readonly connection: string
  /** Has it ever opened a stream to us? Some never do, as long as they have nothing to say. */
  spoke: boolean
  /** Since when the link is broken, or whole. */
  since: number
  broken: boolean
  tries: number
  /** Not before this is it repaired again. */
  next: number
  repairing: boolean
}

/**
 * Notices gossip links that are dead while their connection stands, and opens them again. A stream that was reset, one that closed
 * with a duplicate connection, a peer that gossipsub dropped for an RPC over the limit: gossipsub never opens any of them again, and
 * nothing tells of the last one, so that links are looked at with each of its heartbeats. Both ends do this; either suffices.
 */
export class Repair {
  readonly #watches = new Map<string, Watch>()
  #events: TypedEventTarget<Libp2pEvents> | undefined
  #run = new AbortController()

  constructor(private readonly init: RepairInit) {}

  start(events: TypedEventTarget<Libp2pEvents>): void {
    this.#run = new AbortController()
    this.#events = events
    events.addEventListener('peer:identify', this.#onIdentify)
    events.addEventListener('peer:disconnect', this.#onDisconnect)
    this.init.pubsub.addEventListener('gossipsub:heartbeat', this.#onHeartbeat)
  }

  stop(): void {
    this.#run.abort(new Error('gossip stops'))
    this.#events?.removeEventListener('peer:identify', this.#onIdentify)
    this.#events?.removeEventListener('peer:disconnect', this.#onDisconnect)
    this.init.pubsub.removeEventListener('gossipsub:heartbeat', this.#onHeartbeat)
    this.#watches.clear()
  }

  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const id = detail.peerId.toString()
    if (!detail.protocols.some((protocol) => protocol.startsWith('/meshsub/'))) {
      this.#watches.delete(id)
      return
    }
    const connection = detail.connection.id
    const known = this.#watches.get(id)
    if (known?.connection === connection) return
    const since = this.init.clock.now()
    this.#watches.set(id, {
      ...{ peer: detail.peerId, connection, spoke: known?.spoke ?? false },
      ...{ since, broken: true, tries: 0, next: known?.next ?? 0, repairing: false }
    })
  }

  readonly #onDisconnect = ({ detail: peer }: CustomEvent<PeerId>): void => {
    this.#watches.delete(peer.toString())
  }

  readonly #onHeartbeat = (): void => {
    const peers = new Set(this.init.pubsub.getPeers().map(String))
    for (const [id, watch] of this.#watches) {
      try {
        this.#look(id, watch, peers.has(id))
      } catch (err) {
        this.init.log.error('could not look at the link with %s - %e', id, err)
      }
    }
  }

  #look(id: string, watch: Watch, known: boolean): void {
    if (watch.repairing) return
    const { clock, self, pubsub } = this.init
    const now = clock.now()
    const spoken = isOpen(pubsub.streamsInbound.get(id)?.rawStream)
    watch.spoke ||= spoken
    const broken = !known || !isOpen(pubsub.streamsOutbound.get(id)?.rawStream) || (watch.spoke && !spoken)
    if (broken !== watch.broken) {
      watch.broken = broken
      watch.since = now
    }
    if (!broken) {
      if (now - watch.since >= PROVEN_MS) watch.tries = 0
      return
    }
    const wait = isLower(self, watch.peer) ? FIRST_MS : SECOND_MS
    if (now - watch.since < wait || now < watch.next || watch.tries >= MAX_TRIES || !this.init.joined(id)) return
    const connection = this.init.connections(watch.peer).findLast(({ status, limits }) => status === 'open' && !limits)
    const identify = this.init.identify()
    if (connection == null || identify == null) return
    watch.next = now + Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** watch.tries)
    watch.tries++
    watch.repairing = true
    void this.#repair(id, watch, connection, identify).finally(() => {
      watch.repairing = false
    })
  }

  async #repair(id: string, watch: Watch, connection: Connection, identify: GossipIdentify): Promise<void> {
    const { log, pubsub, connections } = this.init
    log('repairing the gossip link with %s, try %d', id, watch.tries)
    try {
      // Both ends begin anew. What is left of the link would keep gossipsub, here or there, from opening the other half.
      pubsub.onPeerDisconnected(watch.peer)
      pubsub.streamsOutbound.delete(id)
      pubsub.streamsInbound.delete(id)
      for (const stream of connections(watch.peer).flatMap(({ streams }) => streams)) {
        if (stream.protocol.startsWith('/meshsub/')) stream.abort(new Error('the gossip link is broken'))
      }
      const signal = AbortSignal.any([this.#run.signal, AbortSignal.timeout(IDENTIFY_MS)])
      await identify.identify(connection, { signal })
    } catch (err) {
      if (!this.#run.signal.aborted) log('could not repair the gossip link with %s - %e', id, err)
    }
  }
}

/** Can both sides still write? A peer that has dropped a link ends its side, and leaves ours open. */
function isOpen(stream: Stream | undefined): boolean {
  return stream?.status === 'open' && stream.remoteWriteStatus === 'writable' && stream.writeStatus === 'writable'
}

function isLower(self: PeerId, other: PeerId): boolean {
  return compareBytes(self.toMultihash().bytes, other.toMultihash().bytes) < 0
}
