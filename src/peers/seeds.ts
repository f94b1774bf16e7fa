import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ConfigError } from '../errors.js'

/** An address that we are told to begin with, and never give up. */
export interface Seed {
  /** Peer ID, as a string. */
  id: string
  address: Multiaddr
}

const EXAMPLE = '/ip4/203.0.113.7/tcp/5000/p2p/12D3KooW…'

/**
 * Reads seeds as an app writes them. Throws ConfigError naming `seeds[i]` for what is not a multiaddr, does not end in `/p2p/<peer ID>`,
 * or has no address before it. `/dnsaddr/<name>/p2p/<peer ID>` is resolved anew at each dial.
 */
export function parseSeeds(seeds: readonly (string | Multiaddr)[]): Seed[] {
  return seeds.map((seed, i) => {
    const option = `seeds[${i}]`
    const text = String(seed).trim()
    let address: Multiaddr
    try {
      if (text === '') throw new Error('it is empty')
      address = multiaddr(text)
    } catch (err) {
      throw new ConfigError(option, `"${text}" is not a multiaddr: ${err instanceof Error ? err.message : err}`, {
        fix: `write it like ${EXAMPLE}`,
        cause: err
      })
    }
    const parts = address.getComponents()
    const last = parts.at(-1)
    if (last?.code !== CODE_P2P || last.value == null) {
      throw new ConfigError(option, `"${text}" does not say whom to expect there: it must end in /p2p/<peer ID>`, {
        fix: 'copy the whole address that the seed shows when it starts'
      })
    }
    if (parts.length === 1) {
      throw new ConfigError(option, `"${text}" is a peer ID without an address`, { fix: `write it like ${EXAMPLE}` })
    }
    try {
      return { id: peerIdFromString(last.value).toString(), address }
    } catch (err) {
      throw new ConfigError(option, `"${text}" ends in something that is not a peer ID`, {
        fix: `write it like ${EXAMPLE}`,
        cause: err
      })
    }
  })
}
