import { isIP } from 'node:net'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { parseAmount } from '../../examples/mining-node/amount.js'
import { ConfigError } from '../errors.js'
import { fromHex } from '../hex.js'

/** Tried first when no `--port` is given. */
export const DEFAULT_PORT = 5000
/** All interfaces: the node is for other computers too. */
export const DEFAULT_HOST = '0.0.0.0'

const SEED_SHAPE = '/ip4/192.168.1.20/tcp/5000/p2p/12D3KooW...'

/** @throws ConfigError naming the option, as do all functions here. */
export function parsePort(text: string): number {
  return wholeNumber('--port', text, 0, 65_535)
}

export function parseThreads(text: string): number {
  return wholeNumber('--threads', text, 1, 256)
}

export function parseMaxInbound(text: string): number {
  return wholeNumber('--max-inbound', text, 1, 10_000)
}

export function parseData(text: string): string {
  if (text.trim() === '') throw new ConfigError('--data', 'is empty', { fix: 'e.g. --data ./data' })
  return text
}

/** Seconds between blocks; fractions down to milliseconds. */
export function parseBlockTime(text: string): number {
  const seconds = /^\d+(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds >= 0.1 && seconds <= 86_400)) {
    throw new ConfigError('--block-time', `'${text}' is not a number of seconds from 0.1 to 86400`, {
      fix: 'e.g. --block-time 10'
    })
  }
  return seconds
}

export function parseHost(text: string): string {
  const host = text === 'localhost' ? '127.0.0.1' : text.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) === 0) {
    throw new ConfigError('--host', `'${text}' is not an IP address`, {
      fix: 'listen on one of this computer: 127.0.0.1 for itself, 0.0.0.0 for all; for a name that others use, see --announce'
    })
  }
  return host
}

export function parseName(text: string): string {
  const name = text.trim()
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes > 32) {
    throw new ConfigError('--name', `'${text}' has ${bytes} bytes, 1 to 32 are possible`, {
      fix: 'choose a shorter name'
    })
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) {
    throw new ConfigError('--name', 'holds control characters', { fix: 'use letters, digits and spaces' })
  }
  return name
}

export function parseRole(text: string): 'full' | 'light' | 'seed' {
  if (text === 'full' || text === 'light' || text === 'seed') return text
  throw new ConfigError('--role', `'${text}' is not a role`, {
    fix: "'full' keeps the chain, 'light' its headers only, 'seed' introduces peers only"
  })
}

/** Adds one `--seed` to those before it: multiaddrs with a peer ID, between commas. */
export function parseSeeds(text: string, before: string[] = []): string[] {
  return parsePeers('--seed', text, before, 'peer ID')
}

/** Adds one `--dial` to those before it: multiaddrs, between commas. */
export function parseDial(text: string, before: string[] = []): string[] {
  return parsePeers('--dial', text, before)
}

function parsePeers(option: string, text: string, before: string[], needed?: 'peer ID'): string[] {
  const peers = list(text).map((item) => {
    const address = parseAddress(option, item)
    const id = address.getComponents().at(-1)
    if (needed != null && id?.name !== 'p2p') {
      throw new ConfigError(option, `'${item}' does not end in /p2p/<peer ID>`, {
        fix: `take the whole address that the other node shows, like ${SEED_SHAPE}`
      })
    }
    try {
      if (id?.name === 'p2p') peerIdFromString(id.value ?? '')
    } catch (cause) {
      throw new ConfigError(option, `'${item}' has a damaged peer ID`, { fix: 'copy the address again, whole', cause })
    }
    if (!address.getComponents().some(({ name }) => name === 'tcp')) {
      throw new ConfigError(option, `'${item}' is not a TCP address`, { fix: `write it like ${SEED_SHAPE}` })
    }
    return address.toString()
  })
  if (peers.length === 0) throw new ConfigError(option, 'is empty', { fix: `write it like ${SEED_SHAPE}` })
  return [...new Set([...before, ...peers])]
}

/** Adds one `--announce` to those before it. */
export function parseAnnounce(text: string, before: string[] = []): string[] {
  const addresses = list(text).map((item) => parseAddress('--announce', item).toString())
  if (addresses.length === 0)
    throw new ConfigError('--announce', 'is empty', { fix: 'e.g. --announce /ip4/203.0.113.7/tcp/5000' })
  return [...new Set([...before, ...addresses])]
}

/** One node, by a multiaddr with a peer ID. */
export function parseNode(text: string): string {
  const [node, second] = parsePeers('--node', text, [], 'peer ID')
  if (second != null) throw new ConfigError('--node', 'names two nodes', { fix: 'name one' })
  return node!
}

export function parseKey(text: string): string {
  if (text.trim() === '') throw new ConfigError('--key', 'is empty', { fix: 'e.g. --key ./wallet.key' })
  return text
}

/** An address: 64 hex digits. */
export function parseTo(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) {
    throw new ConfigError('--to', `'${text}' is not an address of 64 hex digits`, {
      fix: "copy it whole, as 'wallet address' or the other's node shows it"
    })
  }
  return fromHex(text)
}

/** More than nothing, in the smallest unit. */
export function parsePayment(text: string): bigint {
  const amount = parseFee(text, '--amount')
  if (amount === 0n) throw new ConfigError('--amount', 'is 0', { fix: 'e.g. --amount 12.5' })
  return amount
}

/** In the smallest unit. */
export function parseFee(text: string, option: unknown = '--fee'): bigint {
  const amount = parseAmount(text)
  if (amount != null) return amount
  const name = option === '--amount' ? option : '--fee'
  throw new ConfigError(name, `'${text}' is not a number of coins with at most 8 decimals`, {
    fix: `e.g. ${name} 12.5`
  })
}

/** How many blocks deep a transfer is waited for. */
export function parseWait(text: string): number {
  return wholeNumber('--wait', text, 1, 1_000)
}

export function checkDebugIdentity(options: { debugIdentity: boolean; port: number | undefined }): void {
  const { debugIdentity, port } = options
  if (debugIdentity && port === 0) {
    throw new ConfigError('--debug-identity', 'makes the identity from the port, and --port 0 is any port', {
      fix: 'choose a port'
    })
  }
}

/** Multiaddr to listen on. */
export function listenAddress(host: string, port: number): string {
  return `/${isIP(host) === 6 ? 'ip6' : 'ip4'}/${host}/tcp/${port}`
}

function parseAddress(option: string, text: string): Multiaddr {
  try {
    return multiaddr(text)
  } catch (cause) {
    throw new ConfigError(option, `'${text}' is no multiaddr`, { fix: `write it like ${SEED_SHAPE}`, cause })
  }
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= min && number <= max)) {
    throw new ConfigError(option, `'${text}' is not a whole number from ${min} to ${max}`)
  }
  return number
}
