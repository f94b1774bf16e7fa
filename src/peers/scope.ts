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
  type Multiaddr,
  multiaddr
} from '@multiformats/multiaddr'
import { ipText } from './ip.js'

/** From where an address can be reached: this machine, a local network, anywhere; or nowhere at all (unspecified, multicast, no name). */
export type Scope = 'loopback' | 'private' | 'public' | 'none'

/** Endings of names that are not for the whole world: RFC 6761, 6762 and 8375, and what routers and companies use. */
const LOCAL_ENDINGS = new Set([
  'local',
  'lan',
  'internal',
  'intranet',
  'private',
  'corp',
  'home',
  'localdomain',
  'arpa',
  'test'
])

/** The scope of an address, by its first IP address or name. Addresses of the memory transport count as loopback. */
export function scopeOf(address: Multiaddr): Scope {
  const part = address.getComponents().find((component) => component.code !== CODE_IP6ZONE)
  const value = part?.value?.toLowerCase() ?? ''
  switch (part?.code) {
    case CODE_MEMORY:
      return 'loopback'
    case CODE_IP4:
    case CODE_IP6:
      return scopeOfIp(ipText(value))
    case CODE_DNS:
    case CODE_DNS4:
    case CODE_DNS6:
    case CODE_DNSADDR:
      return scopeOfName(value)
    default:
      return 'none'
  }
}

function scopeOfIp(ip: string | undefined): Scope {
  if (ip == null) return 'none'
  if (ip.includes(':')) {
    if (ip === '::1') return 'loopback'
    if (ip === '::' || ip.startsWith('ff')) return 'none'
    return isPrivate(multiaddr(`/ip6/${ip}`)) ? 'private' : 'public'
  }
  const first = Number(ip.split('.')[0])
  if (first === 127) return 'loopback'
  if (first === 0 || first >= 224) return 'none'
  return isPrivate(multiaddr(`/ip4/${ip}`)) ? 'private' : 'public'
}

/** A name that a resolver takes for a number is none: it would be an address that nobody has looked at. */
function scopeOfName(name: string): Scope {
  const labels = name.replace(/\.$/, '').split('.')
  const last = labels.at(-1) ?? ''
  if (labels.some((label) => label === '' || /[^a-z0-9_-]/.test(label)) || /^(\d+|0x[0-9a-f]*)$/.test(last))
    return 'none'
  if (last === 'localhost') return 'loopback'
  return labels.length === 1 || LOCAL_ENDINGS.has(last) ? 'private' : 'public'
}

/**
 * Whether `address` may be given to, or taken from, a peer whose own connection comes from `remote`: public ones always, private and
 * loopback ones only within the same scope. Otherwise a stranger could make us knock at our own network's doors.
 */
export function inScope(address: Multiaddr, remote: Multiaddr): boolean {
  return reaches(scopeOf(address), remote)
}

/** As `inScope`, of an address of this scope. */
export function reaches(scope: Scope, remote: Multiaddr): boolean {
  if (scope === 'none') return false
  return scope === 'public' || scope === scopeOf(remote)
}
