import type { Multiaddr } from '@multiformats/multiaddr'
import { toHex } from '../hex.js'
import { ipBytes, ipOf, relayOf } from './ip.js'
import { scopeOf } from './scope.js'

/**
 * Which addresses are likely in one hand: those of an IPv4 /16 or an IPv6 /32 (Bitcoin Core's netgroup), names that share their last
 * two labels, and what is reached through one relay. Addresses on this computer or network are a group each, ports told apart: nobody
 * far away can have them, and a network on one machine is to work.
 */
export function groupOf(address: Multiaddr): string {
  const relay = relayOf(address)
  if (relay != null) return `relay:${relay}`
  if (scopeOf(address) === 'public') {
    const ip = ipOf(address)
    const bytes = ip == null ? undefined : ipBytes(ip)
    if (bytes?.length === 4) return `ip4:${bytes[0]}.${bytes[1]}`
    if (bytes != null) return `ip6:${toHex(bytes.subarray(0, 4))}`
    const name = address.getComponents()[0]?.value?.toLowerCase().replace(/\.$/, '') ?? ''
    return `name:${name.split('.').slice(-2).join('.')}`
  }
  return address
    .getComponents()
    .filter(({ name }) => name !== 'p2p')
    .map(({ name, value }) => `${name}:${value ?? ''}`)
    .join('/')
}

/** As `groupOf`, of the far end of a connection that it opened to us: its port is any, so that it does not count. */
export function sourceOf(remote: Multiaddr): string {
  return scopeOf(remote) === 'public' ? groupOf(remote) : (ipOf(remote) ?? scopeOf(remote))
}

/** Of whom a host may have as many as it likes: an IPv4 address, an IPv6 /64. Undefined where `ipOf` is. */
export function hostOf(remote: Multiaddr): string | undefined {
  const ip = ipOf(remote)
  const bytes = ip == null ? undefined : ipBytes(ip)
  return bytes?.length === 16 ? toHex(bytes.subarray(0, 8)) : ip
}
