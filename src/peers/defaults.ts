import { FaultTolerance } from '@libp2p/interface'

const DAY = 86_400_000
const MIB = 1 << 20

/** What `hostDefaults()` gives. The first four are options of `createLibp2p`, the others of the modules of those names. */
export interface HostDefaults {
  connectionManager: {
    inboundConnectionThreshold: number
    maxIncomingPendingConnections: number
    maxConnections: number
  }
  connectionMonitor: { enabled: false }
  peerStore: { maxAddressAge: number; maxPeerAge: number }
  transportManager: { faultTolerance: FaultTolerance }
  yamux: {
    maxInboundStreams: number
    streamOptions: { maxStreamWindowSize: number; maxReadBufferLength: number; maxWriteBufferLength: number }
  }
  ping: { maxInboundStreams: number; maxOutboundStreams: number }
  identify: { maxInboundStreams: number; maxOutboundStreams: number }
}

/**
 * libp2p's defaults where they are wrong for a chain's network, with the reason beside each. `createNode` uses them; an app with its
 * own host takes them over. A new object each time: change it freely.
 *
 * ```ts
 * const { yamux: muxer, ping: pings, identify: ids, ...options } = hostDefaults()
 * createLibp2p({
 *   ...options,
 *   streamMuxers: [steadyMuxer(yamux(muxer))],
 *   services: { identify: identify(ids), ping: ping(pings), peers: peers({ seeds }) }
 * })
 * ```
 */
export function hostDefaults(): HostDefaults {
  return {
    connectionManager: {
      // Default 5 a second and host: the sixth gets a reset. Households, offices, containers and test networks share an address.
      inboundConnectionThreshold: 100,
      // Default 10: ten strangers that stall their handshake for 10 s would shut the door on everyone.
      maxIncomingPendingConnections: 100,
      // libp2p's own number, said here because `maxInbound` of a seed (256) and its target must stay below it.
      maxConnections: 300
    },
    // It aborts a connection on the first ping that takes over 5 s, also when our own event loop was the late one, and shares its
    // one stream with whoever else pings. `peers` does this with three misses and an eye on the loop.
    connectionMonitor: { enabled: false },
    // Default 1 h and 6 h, counted from the first sight and never refreshed: an hour later libp2p forgets where its peers live.
    peerStore: { maxAddressAge: 30 * DAY, maxPeerAge: 30 * DAY },
    // libp2p's own value, said here because it must not be relaxed: a node whose port is taken would run and never be found.
    transportManager: { faultTolerance: FaultTolerance.FATAL_ALL },
    yamux: {
      // Default 1,000: a peer that opens that many at once keeps our event loop for a second with naming their protocols, before any of
      // them comes to a handler that could count them. What is over it is reset for nearly nothing. Honest peers have under 20.
      maxInboundStreams: 64,
      streamOptions: {
        // Default 16 MiB, over the 4 MiB that a paused stream may hold: pausing a fast sender would reset its stream.
        maxStreamWindowSize: 4 * MIB,
        maxReadBufferLength: 5 * MIB,
        // Default unlimited: a peer that stops reading would have us buffer until memory ends.
        maxWriteBufferLength: 32 * MIB
      }
    },
    // Default 1 each way: two pings at once fail as if the peer were gone.
    ping: { maxInboundStreams: 8, maxOutboundStreams: 8 },
    // Default 1 each way: identifying a connection once more, which repairs gossip after a duplicate, would fail while the first
    // round is under way.
    identify: { maxInboundStreams: 4, maxOutboundStreams: 4 }
  }
}
