import { peerIdFromCID } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import type { Multiaddr } from '@multiformats/multiaddr'
import { MalformedError } from '../errors.js'
import { equalBytes } from '../hex.js'

/** Largest sealed record, in bytes. Usual ones have 170 to 210. docs/wire.md, section 2. */
export const MAX_RECORD_BYTES = 2048

/** What a peer says of itself, signed with its key. */
export interface OpenRecord {
  id: string
  seq: bigint
  addresses: Multiaddr[]
}

/**
 * Opens a sealed peer record (libp2p RFC 0002) and checks the signature, its domain and type, and that it is the signer's own. It
 * proves who said it, not that the addresses are his. Throws MalformedError for everything else.
 */
export async function openRecord(bytes: Uint8Array): Promise<OpenRecord> {
  try {
    const envelope = await RecordEnvelope.openAndCertify(bytes, PeerRecord.DOMAIN)
    if (!equalBytes(envelope.payloadType, PeerRecord.CODEC)) throw new Error('it is not a peer record')
    const record = PeerRecord.createFromProtobuf(envelope.payload)
    if (!peerIdFromCID(envelope.publicKey.toCID()).equals(record.peerId))
      throw new Error('it is signed by another peer')
    return { id: record.peerId.toString(), seq: record.seqNumber, addresses: record.multiaddrs }
  } catch (err) {
    throw new MalformedError(`peer record: ${err instanceof Error ? err.message : err}`, err)
  }
}
