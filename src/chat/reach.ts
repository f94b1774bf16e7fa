import type { Connection, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { peerIdFromString } from '@libp2p/peer-id'
import { isMultiaddr, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ConfigError, UnreachableError } from '../errors.js'

/** @throws ConfigError */
export function parseTarget(target: PeerId | Multiaddr | string): PeerId | Multiaddr {
  if (typeof target !== 'string') return target
  try {
    return target.startsWith('/') ? multiaddr(target) : peerIdFromString(target)
  } catch (cause) {
    throw new ConfigError('target', `'${target}' is neither a multiaddr nor a peer ID`, {
      fix: 'take the whole address that the other side shows, like /ip4/192.168.1.20/tcp/5001/p2p/12D3KooW...',
      cause
    })
  }
}

/** Where to look for the peer again: nobody else will do. */
export function again(target: PeerId | Multiaddr, peer: PeerId): PeerId | Multiaddr {
  if (!isMultiaddr(target)) return peer
  return target.getComponents().at(-1)?.name === 'p2p' ? target : target.encapsulate(`/p2p/${peer}`)
}

/**
 * A connection to the peer, the one that is there or a new one.
 *
 * @throws UnreachableError, or the reason of `signal`
 */
export async function reach(
  connectionManager: ConnectionManager,
  target: PeerId | Multiaddr,
  signal: AbortSignal
): Promise<Connection> {
  signal.throwIfAborted()
  try {
    return await connectionManager.openConnection(target, { signal })
  } catch (err) {
    if (signal.aborted) throw signal.reason
    throw new UnreachableError(target.toString(), whyNot(err), err)
  }
}

/** What a person can do something about, out of what libp2p and the system say. */
function whyNot(err: unknown): string {
  const first = err instanceof AggregateError ? (err.errors[0] ?? err) : err
  const text = first instanceof Error ? first.message || first.name : String(first)
  if (text.includes('ECONNREFUSED')) return 'nobody listens there'
  if (text.includes('ENOTFOUND') || text.includes('EAI_AGAIN')) return 'there is no such host'
  if (/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(text) || first?.name === 'TimeoutError') return 'no answer from there'
  if (/dial self/i.test(text)) return 'that is our own address'
  const keys = /identity key (\S+) does not match expected remote identity key (\S+)/.exec(text)
  if (keys != null) return 'somebody else answers there: the peer ID is another one, as after a restart without its key'
  return (text.split('\n')[0] ?? '').slice(0, 200)
}
