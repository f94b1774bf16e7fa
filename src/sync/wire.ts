import type { Clock } from '../clock.js'
import { SyncRequest } from '../pb/sync.js'
import { defineProtocol, type Protocol, rawBytes } from '../protocol/index.js'
import { countIndexes } from './indexes.js'
import {
  MAX_BLOCKS_BYTES,
  MAX_HASHES,
  MAX_HEADERS,
  MAX_HEADERS_BYTES,
  MAX_IN_FLIGHT,
  MAX_RANGE,
  MAX_REQUEST_BYTES,
  MAX_TXS,
  PROOF_BYTES
} from './limit.js'

export type SyncProtocol = Protocol<SyncRequest, Uint8Array>

/** `sync/1` of docs/wire.md, section 3: one request a stream, answered by the bytes of headers, blocks or transactions, or by a proof. */
export function syncProtocol(
  limits: { headerBytes: number; blockBytes: number; txBytes: number },
  clock: Clock
): SyncProtocol {
  return defineProtocol<SyncRequest, Uint8Array>({
    name: 'sync/1',
    request: SyncRequest,
    item: rawBytes,
    clock,
    limits: {
      requestBytes: MAX_REQUEST_BYTES,
      itemBytes: ({ headers, txs, proof }) => {
        if (headers != null) return limits.headerBytes
        if (txs != null) return limits.txBytes
        return proof == null ? limits.blockBytes : limits.txBytes + PROOF_BYTES
      },
      items: ({ headers, blocks, range, txs, proof }) => {
        if (headers != null) return Math.min(headers.limit, MAX_HEADERS)
        if (txs != null) return Math.min(countIndexes(txs.indexes), MAX_TXS)
        if (proof != null) return 1
        if (blocks != null) return Math.min(blocks.hashes.length, MAX_HASHES)
        return range == null ? 0 : Math.min(range.to - range.from + 1, MAX_RANGE)
      },
      answerBytes: ({ headers }) => (headers == null ? MAX_BLOCKS_BYTES : MAX_HEADERS_BYTES),
      firstMs: 20_000,
      nextMs: 10_000,
      totalMs: 120_000,
      inbound: MAX_IN_FLIGHT
    }
  })
}

/** Hashes as protobuf wants them. */
export function onWire(hashes: Uint8Array[]): Uint8Array<ArrayBuffer>[] {
  return hashes as Uint8Array<ArrayBuffer>[]
}
