import type { Clock } from '../clock.js'
import { PoolRequest } from '../pb/catch-up.js'
import { defineProtocol, type Protocol, rawBytes } from '../protocol/index.js'
import { SHORT_BYTES } from '../siphash.js'

/** Numbers of docs/wire.md section 7. */
export const SALT_BYTES = 16
/** Short IDs in one item, and items of them in an answer. */
export const PAGE_IDS = 1_024
const MAX_PAGES = 64
export const MAX_IDS = PAGE_IDS * MAX_PAGES
/** Transactions asked for at once, and bytes of them that are sent at once. */
export const MAX_ASKED = 1_024
export const PACK_BYTES = 102_400
/** Between two sessions with a peer. */
export const SESSION_EVERY_MS = 60_000

export type PoolProtocol = Protocol<PoolRequest, Uint8Array>

/** `pool/1` of docs/wire.md, section 7: pages of short IDs, or the bytes of transactions. */
export function poolProtocol(limits: { txBytes: number }, clock: Clock): PoolProtocol {
  return defineProtocol<PoolRequest, Uint8Array>({
    name: 'pool/1',
    request: PoolRequest,
    item: rawBytes,
    clock,
    limits: {
      requestBytes: SHORT_BYTES * MAX_ASKED + 64,
      itemBytes: ({ txs }) => (txs == null ? SHORT_BYTES * PAGE_IDS : limits.txBytes),
      items: ({ txs }) => (txs == null ? MAX_PAGES : Math.min(MAX_ASKED, Math.floor(txs.ids.length / SHORT_BYTES))),
      answerBytes: ({ txs }) => (txs == null ? SHORT_BYTES * MAX_IDS : PACK_BYTES),
      firstMs: 10_000,
      nextMs: 10_000,
      totalMs: 30_000,
      inbound: 1
    }
  })
}
