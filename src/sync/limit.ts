/** Numbers of docs/wire.md section 3, and of the downloading side. Sizes are bytes, times milliseconds. */

/** Hashes in a locator. */
export const MAX_LOCATOR = 64
/** Headers in one answer. */
export const MAX_HEADERS = 8_192
export const MAX_HEADERS_BYTES = 1 << 20
/** A page of headers that the server cut at a limit of its own has at least so many. */
export const LEAST_HEADERS = 1_000
/** Blocks in one answer: of a range, and by hash. */
export const MAX_RANGE = 4_096
export const MAX_HASHES = 1_024
export const MAX_BLOCKS_BYTES = 16 << 20
/** Transactions in one answer. */
export const MAX_TXS = 8_192
/** Of a proof, beside its transaction: a path of 32 hashes, and what stands around it. */
export const MAX_PATH = 32
export const PROOF_BYTES = 2_048
export const MAX_REQUEST_BYTES = 36 << 10
/** Requests of one peer in flight, on both sides. */
export const MAX_IN_FLIGHT = 2

/** Headers ahead of our head while bodies come: more are asked for when the bodies catch up, which leaves both requests to them. */
export const HEADERS_LEAD = 8_192
/** Headers ahead of our head, from one peer: they are checked but not paid for by bodies. */
export const MAX_HEADERS_AHEAD = 50_000
/**
 * Presync, per peer: one bit for every so many headers, and what waits in the second download for 24 such bits on top of it. Whoever
 * guesses wrong once has to show a chain with work enough again.
 */
export const MAX_COMMITMENTS = 1 << 22
export const COMMITMENTS_ON_TOP = 24
export const REDOWNLOAD_BYTES = 384 << 10
/** Peers in presync at once. */
export const MAX_PRESYNCS = 8
/** No chain makes more blocks on average; so many headers at most are checked in the hope of work. Bitcoin Core: 6. */
export const BLOCKS_PER_S = 100
/** So many are checked in that hope in any case. */
export const LEAST_PRESYNC = 200_000
/** Headers a second that are checked in that hope by a node that has a chain, those of all peers together. */
export const PRESYNC_PER_S = 20_000
/** Bodies that are asked for or waiting for their turn. Bitcoin Core: BLOCK_DOWNLOAD_WINDOW. */
export const WINDOW_BLOCKS = 8_192
export const WINDOW_BYTES = 32 << 20
/** Smallest and largest batch of bodies; in between it is what a peer sends in `BATCH_MS`. */
export const MIN_BATCH = 16
export const MAX_BATCH = MAX_RANGE
export const BATCH_BYTES = 8 << 20
/** Asked of a peer that brought no bodies yet, at most. */
export const FIRST_BATCH = 64
export const FIRST_BYTES = 1 << 20
export const BATCH_MS = 1_000
/** Bodies in one import. */
export const IMPORT_BLOCKS = 2_048
export const IMPORT_BYTES = 16 << 20

/** A peer that holds up the window loses its batch after this; doubles each time, up to the second. */
export const STALL_MS = 2_000
export const STALL_MAX_MS = 64_000
/** What a peer holds up goes to one that has nothing to do, after the time that this one would take, but not sooner. */
export const TAKE_OVER_MS = 100
/** How long gossip has to bring an announced head before it is fetched. */
export const GOSSIP_MS = 500
/** Headers are asked of a second peer when the first has sent nothing for this long. */
export const HEADERS_PATIENCE_MS = 2_000
/** The same where the first never sent anything before. */
export const FIRST_PATIENCE_MS = 500
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
