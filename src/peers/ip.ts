import { parseIP } from '@chainsafe/is-ip/parse'
import { IpNet, iPv4FromIPv6, ipToString, isIPv4mappedIPv6 } from '@chainsafe/netmask'
import { CODE_IP4, CODE_IP6, CODE_IP6ZONE, CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr'
import { toHex } from '../hex.js'

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
  if (relayOf(address) != null) return undefined
  const first = address.getComponents().find(({ code }) => code !== CODE_IP6ZONE)
  if (first?.code !== CODE_IP4 && first?.code !== CODE_IP6) return undefined
  return ipText(first.value ?? '')
}

/** The relay that an address goes through: its peer ID, or that there is one. */
export function relayOf(address: Multiaddr): string | undefined {
  const parts = address.getComponents()
  const at = parts.findIndex(({ code }) => code === CODE_P2P_CIRCUIT)
  return at < 0 ? undefined : (parts[at - 1]?.value ?? 'unknown')
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

/** IPv6 addresses behind which an IPv4 address stands: ::/96 (::1 and :: are their own), and NAT64's 64:ff9b::/96 (RFC 6052). */
const WRAPPERS = ['000000000000000000000000', '0064ff9b0000000000000000']

export function ipBytes(text: string): Uint8Array | undefined {
  const bytes = parseIP(text)
  if (bytes?.length !== 16) return bytes
  if (isIPv4mappedIPv6(bytes)) return iPv4FromIPv6(bytes)
  const isWrapper = WRAPPERS.includes(toHex(bytes.subarray(0, 12))) && bytes.subarray(12, 15).some((byte) => byte > 0)
  return isWrapper ? bytes.subarray(12) : bytes
}

/** RFC 5952, as the URL standard has it. */
function short(ip: string): string {
  return ip.includes(':') ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip
}
