import { multiaddr } from '@multiformats/multiaddr'
import type { Entry } from './book.js'
import { type Scope, scopeOf } from './scope.js'

/** First wait after a failure; doubles from there. */
export const FIRST_WAIT_MS = 1000
/** Longest wait between two attempts. */
export const LONGEST_WAIT_MS = 300_000
/**
 * Failures after which a peer is dropped from the book: one that never was a peer, or that was none for a week. Bitcoin Core's numbers
 * (`IsTerrible`).
 */
export const MAX_FAILURES = { stranger: 3, proven: 10 } as const
export const PROVEN_MS = 7 * 24 * 3_600_000

/** How long a peer is left alone after so many failures in a row, before jitter. */
export function waitAfter(failures: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS)
}

/**
 * Whether to give a peer up. Not while nobody is connected from where it could be reached (`present`): then it is our own network that
 * fails.
 */
export function isHopeless(entry: Entry, now: number, present: ReadonlySet<Scope>): boolean {
  const { failures, provenAt, addresses } = entry
  const isLost =
    provenAt == null
      ? failures >= MAX_FAILURES.stranger
      : failures >= MAX_FAILURES.proven && now - provenAt >= PROVEN_MS
  return isLost && addresses.some((address) => present.has(scopeOf(multiaddr(address))))
}
