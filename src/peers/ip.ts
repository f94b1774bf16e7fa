import { parseIP } from '@chainsafe/is-ip/parse'
import { IpNet, iPv4FromIPv6, ipToString, isIPv4mappedIPv6 } from '@chainsafe/netmask'
import { CODE_IP4, CODE_IP6, CODE_IP6ZONE, CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr'
import { scopeOf } from './scope.js'

/** An IP address as it is written everywhere here: IPv4 where it is one in IPv6's clothes, IPv6 in its shortest form. Undefined for others. */
export function ipText(text: string): string | undefined {
  const bytes = ipBytes(text)
  return bytes == null ? undefined : short(ipToString(bytes))
}

/** A prefix in CIDR as it is written everywhere here. */
export function prefixText(prefix: IpNet): string {
  const [ip = '', length] = prefix.toString().split('/')
  return `${short(ip)}/${length}`
}

/** The IP address at which the other end stands; undefined for names, other transports, and through a relay, where it is the relay's. */
export function ipOf(address: Multiaddr): string | undefined {
  const parts = address.getComponents()
  if (parts.some(({ code }) => code === CODE_P2P_CIRCUIT)) return undefined
  const first = parts.find(({ code }) => code !== CODE_IP6ZONE)
  if (first?.code !== CODE_IP4 && first?.code !== CODE_IP6) return undefined
  return ipText(first.value ?? '')
}

/**
 * Which addresses are likely in one hand: those of an IPv4 /16 or an IPv6 /32 (Bitcoin Core's netgroup), and names that share their
 * last two labels. Addresses on this computer or network are a group each, ports told apart: nobody far away can have them, and a
 * network on one machine is to work.
 */
export function groupOf(address: Multiaddr): string {
  if (scopeOf(address) === 'public') {
    const ip = ipOf(address)
    const bytes = ip == null ? undefined : ipBytes(ip)
    if (bytes?.length === 4) return `ip4:${bytes[0]}.${bytes[1]}`
    if (bytes != null) return `ip6:${hex(bytes.subarray(0, 4))}`
    const [first] = address.getComponents()
    return `${first?.name}:${first?.value?.split('.').slice(-2).join('.')}`
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

/** Addresses in CIDR, or single ones. Throws Error for what is neither. */
export function parsePrefix(text: string): IpNet {
  const [ip = '', ones, more] = text.split('/')
  const bytes = ipBytes(ip)
  if (bytes == null || more != null) throw new Error(`'${text}' is neither an IP address nor a prefix`)
  const bits = bytes.length * 8
  const mapped = bytes.length === 4 && ip.includes(':') ? 96 : 0
  const length = ones == null ? bits : /^\d{1,3}$/.test(ones) ? Number(ones) - mapped : -1
  if (length < 0 || length > bits) throw new Error(`'${text}' is not a prefix: its length is not 0 to ${bits}`)
  return new IpNet(ipToString(bytes), length)
}

/** Whether a rule applies to this address. Unlike IPv4 and IPv6 never do. */
export function covers(prefix: IpNet, ip: string): boolean {
  return prefix.contains(ip)
}

function ipBytes(text: string): Uint8Array | undefined {
  const bytes = parseIP(text)
  return bytes != null && bytes.length === 16 && isIPv4mappedIPv6(bytes) ? iPv4FromIPv6(bytes) : bytes
}

/** RFC 5952, as the URL standard has it. */
function short(ip: string): string {
  return ip.includes(':') ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
