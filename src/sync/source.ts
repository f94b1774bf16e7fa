import type { Split } from '../chain/index.js'
import { compareBytes } from '../hex.js'
import type { Role } from '../status/index.js'
import {
  BATCH_BYTES,
  BATCH_MS,
  FIRST_BATCH,
  FIRST_BYTES,
  GOSSIP_MS,
  MAX_BATCH,
  MAX_IN_FLIGHT,
  MIN_BATCH,
  REST_MAX_MS,
  REST_MS
} from './limit.js'
import { Pace } from './pace.js'
import type { Presync } from './presync.js'

/** A block in its place, as far as the planner needs it. */
export interface Place {
  hash: Uint8Array
  height: number
  /** Of its header, where they are at hand. */
  bytes?: Uint8Array | undefined
}

/** What the planner reads of the chain. All of it is synchronous. */
export interface ChainView {
  readonly head: Place & { work: bigint }
  /** Most work not known to be invalid and not parked; bodies may be missing. */
  readonly target: Place & { work: bigint }
  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined
  /** Work of a known header with all before it. */
  locate(hash: Uint8Array): { work: bigint; height: number } | undefined
  /** See `SyncChain`. */
  missing(limit: number): Place[]
  missingAfter?(place: Place, limit: number): Place[] | undefined
  /** A heavier branch that is not followed because it forks off too deep. */
  readonly split?: Split | undefined
  /** A chain with less is not followed: the node is not `live`. */
  readonly minimum?: { work: bigint; height: number }
  /** At equal work the lowest hash wins, or whoever was first. */
  readonly rules?: { tie?: 'first-seen' | 'lowest-hash' }
}

/** Would the chain follow `a` rather than `b`? */
export function beats(
  view: ChainView,
  a: { hash: Uint8Array; work: bigint },
  b: { hash: Uint8Array; work: bigint }
): boolean {
  if (a.work !== b.work) return a.work > b.work
  return view.rules?.tie === 'lowest-hash' && compareBytes(a.hash, b.hash) < 0
}

/** What the chain of this block, real or claimed, lacks of what any chain must have. */
export function shortOf({ minimum }: ChainView, block: { work: bigint; height: number }): string | undefined {
  if (minimum == null) return undefined
  if (block.work < minimum.work) return 'has less than minimumWork'
  return block.height < minimum.height ? `does not reach the checkpoint at ${minimum.height}` : undefined
}

/** The head that a peer says it has. Nothing of it is proven. */
export interface Claim {
  hash: Uint8Array
  key: string
  height: number
  work: bigint
  at: number
  /** Not before: gossip has until then to bring it. */
  due: number
  /** More work than ours when it was made. */
  ahead: boolean
  proven: boolean
}

/** What a peer told in its status. */
export interface Offer {
  id: string
  role: Role
  lowest: number
  head?: { hash: Uint8Array; height: number; work: bigint }
  txIndex?: boolean
}

/** What the planner remembers of one connected peer. */
export class Source {
  readonly id: string
  role: Role
  lowest: number
  txIndex = false
  claim: Claim | undefined
  inFlight = 0
  readonly pace = new Pace()
  /** Most bodies in an answer of it. */
  #most = 0
  /** Failures in a row: slow, gone, empty. They lower priority and never more. */
  fails = 0
  spoilt = 0
  restUntil = 0
  /** The peer had no body at this height of the branch that we download: nothing from there on is asked until then. */
  lacks: { height: number; at: number; until: number; times: number } | undefined
  /** It was asked from our target on and answered from before it: its next headers are asked for from its last on. */
  apart = false
  /** It answered a range from another branch: its blocks are asked for by hash. */
  byHash = false

  // Claims. They outlive a change of claim, so that a new claim is not a new start for a liar.
  /** Answers in a row that brought no claim of this peer nearer. */
  tries = 0
  /** Since when a claim of it holds up `live` without a proof; undefined while it has none open. */
  openSince: number | undefined
  /** A claim was refuted: further ones are looked at, but hold up nothing, until `debt` of them prove true. */
  doubt: string | undefined
  debt = 0
  refuted = 0
  nextTry = 0
  /** Last header that it gave us for the open claim, from where the next page goes on. */
  last: (Place & { work: bigint }) | undefined
  /** Its headers while they have too little work to be kept. */
  presync: Presync | undefined
  /** Its headers had too little work when they were last looked at. */
  lowWork = false

  #seen: { claim?: Claim; version: number; here: ReturnType<ChainView['has']> } = { version: 0, here: undefined }

  /** `light`: headers are all that we want of it. */
  constructor(
    offer: Offer,
    private readonly light = false
  ) {
    this.id = offer.id
    this.role = offer.role
    this.lowest = offer.lowest
  }

  /** Where its claim is with us. Looked up once for each `version` of the chain: what is not in memory is looked for on disk. */
  here(view: ChainView, version: number): ReturnType<ChainView['has']> {
    const { claim } = this
    if (claim == null) return undefined
    if (this.#seen.claim !== claim || this.#seen.version !== version) {
      this.#seen = { claim, version, here: view.has(claim.hash) }
    }
    return this.#seen.here
  }

  /** Serves what we download, by its own account: blocks and headers, or, where headers are enough, those. */
  get full(): boolean {
    return (this.role === 'full' || (this.light && this.role === 'light')) && this.claim != null
  }

  ready(now: number): boolean {
    return this.full && this.inFlight < MAX_IN_FLIGHT && this.restUntil <= now
  }

  claims(height: number): boolean {
    return this.full && this.lowest <= height && height <= this.claim!.height
  }

  /** It answered what it was asked for last: others may wait for what it is asked for next. */
  get tested(): boolean {
    return this.fails === 0 && this.pace.bytesPerSecond > 0
  }

  /**
   * How many bodies of so many bytes to ask for at once: what it sends in a second, four times what it ever brought at most, and little of
   * who is not tested.
   */
  batch(bytes: number): number {
    if (!this.tested) return least(this.fails > 0 ? MIN_BATCH : FIRST_BATCH, bytes)
    const inTime = (this.pace.bytesPerSecond * BATCH_MS) / 1_000 / bytes
    const most = Math.min(inTime, MAX_BATCH, Math.max(FIRST_BATCH, 4 * this.#most), BATCH_BYTES / bytes + 1)
    return Math.floor(Math.max(least(MIN_BATCH, bytes), most))
  }

  /** A request of ours to it begins, and ends. */
  begin(now: number): void {
    this.inFlight++
    this.pace.begin(now)
  }

  end(now: number): void {
    this.free()
    this.pace.end(now)
  }

  free(): void {
    this.inFlight = Math.max(0, this.inFlight - 1)
  }

  /** Takes over what its status says. `near`: gossip may still bring it. `ahead`: it says to have more work than we. */
  offer(offer: Offer, key: string | undefined, now: number, near: boolean, ahead: boolean): void {
    this.role = offer.role
    this.lowest = offer.lowest
    this.txIndex = offer.txIndex ?? false
    if (offer.head == null || key == null) {
      this.claim = undefined
      return
    }
    if (key === this.claim?.key && offer.head.work === this.claim.work) return
    // nobody brings an old head by gossip, so the first claim of a peer and a deep gap are due at once
    const due = near && this.claim != null ? now + GOSSIP_MS : now
    this.claim = { ...offer.head, key, at: now, due, ahead, proven: false }
    if (this.lacks != null) this.lacks.until = Math.min(this.lacks.until, this.lacks.at + 2_000)
  }

  /** A good answer of `count` blocks up to `height`. */
  delivered(count: number, height: number): void {
    this.fails = this.spoilt
    this.#most = Math.max(this.#most, count)
    if (this.lacks != null && height >= this.lacks.height) this.lacks = undefined
  }

  /** Asked again later each time; requests that fail together count once, those that brought something least. */
  rest(now: number, got = 0): void {
    if (this.restUntil > now) return
    this.fails = got > 0 ? Math.max(1, this.fails) : this.fails + 1
    const ms = got > 0 ? REST_MS : Math.min(REST_MAX_MS, REST_MS * 2 ** (this.fails - 1))
    this.restUntil = now + ms
  }

  /** It sent a wrong body: it is asked last, and little. */
  spoil(now: number): void {
    this.spoilt++
    this.fails = Math.max(this.fails, this.spoilt)
    this.restUntil = Math.max(this.restUntil, now + Math.min(REST_MAX_MS, REST_MS * 2 ** this.spoilt))
  }

  /** It had no body at this height. Of requests that are denied together only one counts. */
  lack(height: number, now: number): void {
    const { lacks } = this
    if (lacks != null && lacks.until > now) {
      lacks.height = Math.min(lacks.height, height)
      return
    }
    const times = (lacks?.times ?? 0) + 1
    this.lacks = { height, at: now, until: now + Math.min(REST_MAX_MS, REST_MS * 2 ** (times - 1)), times }
  }

  isLacking(now: number, height = Number.POSITIVE_INFINITY): boolean {
    return this.lacks != null && this.lacks.until > now && height >= this.lacks.height
  }
}

/** So many bodies, or fewer where they are large. */
function least(count: number, bytes: number): number {
  return Math.max(1, Math.min(count, Math.floor(FIRST_BYTES / bytes)))
}
