/**
 * What comes of anything from outside. `reject` is for what its sender could have known; `ignore` for what is not its fault or
 * cannot be told yet. Data from strangers gives a verdict, never an exception.
 */
export type Verdict =
  | { result: 'accept' }
  | { result: 'ignore'; reason: IgnoreReason; detail?: string }
  | { result: 'reject'; reason: RejectReason; detail?: string }

/** What a rule of the app answers. The text is for people; it becomes the verdict's `detail`. */
export type Check = true | { reject: string } | { ignore: string }

/** Why something is left aside without blame. */
export type IgnoreReason =
  /** We have it already. */
  | 'known'
  /** Its parent is not here (yet). */
  | 'unknown-parent'
  /** Transactions of it could not be had in time. */
  | 'missing'
  /** Its time is more than `futureMs` ahead of our clock; it is parked until due. */
  | 'future'
  /** It forks off more than `maxReorg` blocks below our head. */
  | 'too-deep'
  /** A bounded store, pool or queue is full. */
  | 'full'
  /** Its chain has too little work to be kept: see `Chain.threshold`. */
  | 'low-work'
  /** A rule of the app asked to ignore it. */
  | 'rule'
  /** A transaction that the current state does not admit. */
  | 'state'
  /** A pending transaction stands in its place, and it does not pay enough more to replace it. */
  | 'conflict'
  /** A rule of the app threw or timed out, or a write failed: our problem, not the sender's. */
  | 'error'

/** Why something is refused, and its sender may be charged. */
export type RejectReason =
  /** Bytes that do not decode, or do not encode to the same bytes again. */
  | 'malformed'
  /** Over a limit of `Rules.limits`. */
  | 'too-large'
  /** Not later than the median time of the 11 blocks before it. */
  | 'time-too-old'
  /** The header says another height than its parent's plus one. */
  | 'height'
  /** `checkHeader` refused it, e.g. for want of work. */
  | 'header'
  /** Another block stands there by `Rules.checkpoints`, or it forks off below one that the head chain has passed. */
  | 'checkpoint'
  /** The transactions do not hash to the header's root: a wrong body, which says nothing about the header. */
  | 'root'
  /** `checkTx` refused a transaction. */
  | 'tx'
  /** `begin`, `applyTx` or `end` refused the block. */
  | 'state'
  /** The block, or one below it, was found invalid before. */
  | 'known-invalid'

export const ACCEPT: Verdict = { result: 'accept' }

export function ignore(reason: IgnoreReason, detail?: string): Verdict {
  return detail == null ? { result: 'ignore', reason } : { result: 'ignore', reason, detail }
}

export function reject(reason: RejectReason, detail?: string): Verdict {
  return detail == null ? { result: 'reject', reason } : { result: 'reject', reason, detail }
}
