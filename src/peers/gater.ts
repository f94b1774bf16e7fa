import type { ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ConfigError } from '../errors.js'

/** What `peers` wants to be asked; true denies. */
export interface Guard {
  denyDialPeer(peer: PeerId): boolean
  denyDialMultiaddr(address: Multiaddr): boolean
  denyInboundConnection(connection: MultiaddrConnection): boolean
  denyOutboundConnection(peer: PeerId, connection: MultiaddrConnection): boolean
  denyInboundEncryptedConnection(peer: PeerId, connection: MultiaddrConnection): boolean
  denyOutboundEncryptedConnection(peer: PeerId, connection: MultiaddrConnection): boolean
  denyInboundUpgradedConnection(peer: PeerId, connection: MultiaddrConnection): boolean
  denyOutboundUpgradedConnection(peer: PeerId, connection: MultiaddrConnection): boolean
}

type Hook = keyof Guard
const HOOKS: readonly Hook[] = [
  'denyDialPeer',
  'denyDialMultiaddr',
  'denyInboundConnection',
  'denyOutboundConnection',
  'denyInboundEncryptedConnection',
  'denyOutboundEncryptedConnection',
  'denyInboundUpgradedConnection',
  'denyOutboundUpgradedConnection'
]

const guarded = new WeakSet<ConnectionGater>()

/**
 * Adds our hooks to the node's gater, after the app's own: what the app denies stays denied. libp2p hands every service the object
 * that it asks itself, so changing it is enough. Answers what takes them out again. Throws ConfigError when another running node has
 * the same object, because the hooks could not tell for whom they are asked.
 */
export function guard(gater: ConnectionGater, ours: Guard): () => void {
  if (guarded.has(gater)) {
    throw new ConfigError('connectionGater', 'is used by two running nodes at once', {
      fix: 'give each node its own object'
    })
  }
  guarded.add(gater)
  const before = new Map<Hook, ConnectionGater[Hook]>()
  for (const hook of HOOKS) {
    const app = gater[hook] as ((...args: unknown[]) => boolean | Promise<boolean>) | undefined
    before.set(hook, gater[hook])
    const own = ours[hook].bind(ours) as (...args: unknown[]) => boolean
    Object.assign(gater, {
      [hook]: async (...args: unknown[]) => (await app?.apply(gater, args)) === true || own(...args)
    })
  }
  return () => {
    for (const [hook, app] of before) Object.assign(gater, { [hook]: app })
    guarded.delete(gater)
  }
}
