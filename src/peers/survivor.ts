import type { Connection, PeerId } from '@libp2p/interface'
import { compareBytes } from '../hex.js'

/** Whether our own dial wins over the other side's: that of the lower ID does, IDs compared as multihash bytes. */
export function weAreLower(self: PeerId, other: PeerId): boolean {
  return compareBytes(self.toMultihash().bytes, other.toMultihash().bytes) < 0
}

/** Connections that count as the one: open, and not through a relay (a relayed link may stand beside a direct one). */
export function isDirect(connection: Connection): boolean {
  return connection.status === 'open' && connection.limits == null
}

/**
 * Of several connections with one peer, the one that both ends keep: the lower ID's outbound, the newest of these when there are
 * several (an older one is what a restarted peer left behind). Undefined for none.
 */
export function survivorOf(connections: readonly Connection[], self: PeerId): Connection | undefined {
  const open = connections.filter(isDirect)
  const first = open[0]
  if (first == null || open.length === 1) return first
  const direction = weAreLower(self, first.remotePeer) ? 'outbound' : 'inbound'
  return open.findLast((connection) => connection.direction === direction) ?? open.at(-1)
}
