import { isPrivate } from '@libp2p/utils'
import {
  CODE_DNS,
  CODE_DNS4,
  CODE_DNS6,
  CODE_DNSADDR,
  CODE_IP4,
  CODE_IP6,
  CODE_IP6ZONE,
  CODE_MEMORY,
  type Multiaddr
} from '@multiformats/multiaddr'

/** From where an address can be reached: this machine, a local network, anywhere; or nowhere at all (unspecified, multicast). */
export type Scope = 'loopback' | 'private' | 'public' | 'none'

/** The scope of an address, by its first IP address or name. Addresses of the memory transport count as loopback. */
export function scopeOf(address: Multiaddr): Scope {
  const part = address.getComponents().find((component) => component.code !== CODE_IP6ZONE)
  const value = part?.value?.toLowerCase() ?? ''
  switch (part?.code) {
    case CODE_MEMORY:
      return 'loopback'
    case CODE_IP4: {
      const first = Number(value.split('.')[0])
      if (first === 127) return 'loopback'
      if (first === 0 || first >= 224) return 'none'
      return isPrivate(address) ? 'private' : 'public'
    }
    case CODE_IP6:
      if (value === '::1' || value.startsWith('::ffff:127.') || value.startsWith('::ffff:7f')) return 'loopback'
      if (value === '::' || value.startsWith('ff')) return 'none'
      return isPrivate(address) ? 'private' : 'public'
    case CODE_DNS:
    case CODE_DNS4:
    case CODE_DNS6:
    case CODE_DNSADDR:
      if (value === 'localhost' || value.endsWith('.localhost')) return 'loopback'
      return value.endsWith('.local') ? 'private' : 'public'
    default:
      return 'none'
  }
}

/**
 * Whether `address` may be given to, or taken from, a peer whose own connection comes from `remote`: public ones always, private and
 * loopback ones only within the same scope. Otherwise a stranger could make us knock at our own network's doors.
 */
export function inScope(address: Multiaddr, remote: Multiaddr): boolean {
  const scope = scopeOf(address)
  if (scope === 'none') return false
  return scope === 'public' || scope === scopeOf(remote)
}
