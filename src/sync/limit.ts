/** Numbers of docs/wire.md section 3, and of the downloading side. Sizes are bytes, times milliseconds. */

/** Hashes in a locator. */
export const MAX_LOCATOR = 64
/** Headers in one answer. */
export const MAX_HEADERS = 2_000
export const MAX_HEADERS_BYTES = 1 << 20
/** Blocks in one answer. */
export const MAX_BLOCKS = 1_024
export const MAX_BLOCKS_BYTES = 16 << 20
export const MAX_REQUEST_BYTES = 36 << 10
/** Requests of one peer in flight, on both sides. */
export const MAX_IN_FLIGHT = 2

/** Headers ahead of our head, from one peer: they are checked but not paid for by bodies. */
export const MAX_HEADERS_AHEAD = 200_000
/** Bodies that are asked for or waiting for their turn. Bitcoin Core: BLOCK_DOWNLOAD_WINDOW. */
export const WINDOW_BLOCKS = 1_024
export const WINDOW_BYTES = 64 << 20
/** Smallest and largest batch of bodies; in between it is what a peer sends in `BATCH_MS`. */
export const MIN_BATCH = 16
export const MAX_BATCH = 256
export const BATCH_BYTES = 8 << 20
export const BATCH_MS = 1_000
/** Bodies in one import. */
export const IMPORT_BLOCKS = 512
export const IMPORT_BYTES = 16 << 20

/** A peer that holds up the window loses its batch after this; doubles each time, up to the second. */
export const STALL_MS = 2_000
export const STALL_MAX_MS = 64_000
/** How long gossip has to bring an announced head before it is fetched. */
export const GOSSIP_MS = 500
/** Headers are asked of a second peer when the first has sent nothing for this long. */
export const HEADERS_PATIENCE_MS = 2_000
/** Answers that do not bring a claim nearer before it is refuted, and how long it may hold up `live` without a proof. */
export const CLAIM_TRIES = 3
export const CLAIM_MS = 60_000
/** First and last pause before a peer that failed is asked again. */
export const REST_MS = 1_000
export const REST_MAX_MS = 16_000
/** Last pause before a refuted claim or a parked branch is looked at again. */
export const RETRY_MAX_MS = 64_000
/** Denials of a body by each peer that should have it, or time without it, before its branch is parked. */
export const PARK_DENIALS = 2
export const PARK_MS = 60_000
/** How long a branch that nobody claims any more is waited for. */
export const ORPHANED_MS = 20_000
/** Without any progress for this long there must be a reason. */
export const STALLED_MS = 30_000
/** No request lives longer: the protocol's own limit is 120 s. */
export const REQUEST_MS = 125_000
/** Gap to an orphan's parent that is fetched at once, in heights. */
export const BRANCH_GAP = 32
