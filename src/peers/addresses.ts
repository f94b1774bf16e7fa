import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { equalBytes } from '../hex.js'
import { groupOf } from './group.js'

/** Of one address in characters; the longest usual ones have 150. */
export const MAX_ADDRESS_LENGTH = 300

/** Whether an address can be read again: discovery modules tell of what they like. */
export function isUsable(address: string): boolean {
  try {
    return address.length <= MAX_ADDRESS_LENGTH && groupOf(multiaddr(address)) !== ''
  } catch {
    return false
  }
}

/**
 * Addresses as the book keeps them, each with the peer's ID. What ends in the ID of another is left out, and what cannot be written as text
 * and read again: an address is bytes to its sender, and some bytes make no text, or that of another address.
 */
export function named(addresses: readonly Multiaddr[], id: string): string[] {
  return addresses.flatMap((address) => {
    try {
      const last = address.getComponents().at(-1)
      const isNamed = last?.code === CODE_P2P
      if (isNamed && peerIdFromString(last.value ?? '').toString() !== id) return []
      const text = address.toString()
      return equalBytes(multiaddr(text).bytes, address.bytes) ? [isNamed ? text : `${text}/p2p/${id}`] : []
    } catch {
      return []
    }
  })
}
