import type { RejectReason, Verdict } from '../chain/index.js'
import type { Fault } from '../errors.js'

/** By which way something came that got a verdict. */
export type Via = 'gossip' | 'sync' | 'headers'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/**
 * What a fault costs. `points` add up with a half-life of ten minutes; `unwanted` lowers the priority when we choose whom to dial,
 * and nothing else. Numbers after Lodestar: five low faults within minutes are one too many.
 */
export const PRICES: Readonly<Record<Fault, { points: number; unwanted: number; banMs: number }>> = {
  provable: { points: 100, unwanted: 0, banMs: 24 * HOUR },
  protocol: { points: 20, unwanted: 0, banMs: 0 },
  quality: { points: 0, unwanted: 1, banMs: 0 },
  none: { points: 0, unwanted: 0, banMs: 0 }
}

/** Points at which a peer is disconnected and left alone for a while: the third protocol fault within minutes. */
export const DISCONNECT_AT = 50
/** Points at which it is banned though no single fault was provable, and for how long: the fifth within minutes. */
export const BAN_AT = 90
export const BAN_MS = HOUR
/** How long the public IP address is kept out from which something provable came: a new ID costs nothing. */
export const ADDRESS_BAN_MS = HOUR
export const HALF_LIFE_MS = 10 * MINUTE
/** How long a peer that was disconnected for its faults is not dialled. */
export const SHUN_MS = 10 * MINUTE

/**
 * Verdict by the way it came -> fault. A block that its sender could see to be wrong from its bytes alone is provable. One that only
 * the state can tell is never charged to who gossiped it (he forwards after the header's checks, as we do), only to who served it as
 * his chain, and even that adds up first: bodies of a side branch are served before anyone has applied them.
 */
export const VERDICTS: Readonly<Record<RejectReason, Readonly<Record<Via, Fault>>>> = {
  malformed: { gossip: 'protocol', sync: 'protocol', headers: 'protocol' },
  'too-large': { gossip: 'protocol', sync: 'protocol', headers: 'protocol' },
  'time-too-old': { gossip: 'provable', sync: 'provable', headers: 'provable' },
  height: { gossip: 'provable', sync: 'provable', headers: 'provable' },
  header: { gossip: 'provable', sync: 'provable', headers: 'provable' },
  // a node that has not got there yet passes on what it cannot judge; whoever has more work than we is on another chain
  checkpoint: { gossip: 'none', sync: 'protocol', headers: 'provable' },
  root: { gossip: 'provable', sync: 'provable', headers: 'protocol' },
  tx: { gossip: 'provable', sync: 'provable', headers: 'protocol' },
  state: { gossip: 'none', sync: 'protocol', headers: 'none' },
  'known-invalid': { gossip: 'none', sync: 'protocol', headers: 'protocol' }
}

/** The fault that a verdict means for who sent the thing. */
export function faultOf(verdict: Verdict, via: Via): Fault {
  return verdict.result === 'reject' ? VERDICTS[verdict.reason][via] : 'none'
}

/** What is to be done about a peer after a fault; `banMs` is there when it is to be banned. */
export interface Sentence {
  action: 'nothing' | 'disconnect' | 'ban'
  banMs?: number
}

const NOTHING: Sentence = { action: 'nothing' }

export interface Charge {
  fault: Fault
  reason: string
  at: number
}

interface Account {
  points: number
  unwanted: number
  at: number
  last: Charge
}

/** Who did what, by peer ID. In memory and bounded: 2,000 accounts, of which the lightest goes first. Bans outlive it. */
export class Ledger {
  readonly #accounts = new Map<string, Account>()
  readonly #maxAccounts: number

  constructor(init: { maxAccounts?: number } = {}) {
    this.#maxAccounts = init.maxAccounts ?? 2000
  }

  get size(): number {
    return this.#accounts.size
  }

  /** Books a fault, and says what follows from it. */
  charge(id: string, fault: Fault, reason: string, now: number): Sentence {
    if (fault === 'none') return NOTHING
    const price = PRICES[fault]
    const account = this.#account(id, now, { fault, reason, at: now })
    account.points += price.points
    account.unwanted = Math.min(5, account.unwanted + price.unwanted)
    if (price.points === 0) return NOTHING
    if (price.banMs > 0) return { action: 'ban', banMs: price.banMs }
    if (account.points >= BAN_AT) return { action: 'ban', banMs: BAN_MS }
    return account.points >= DISCONNECT_AT ? { action: 'disconnect' } : NOTHING
  }

  /** A ban was lifted: it begins again with nothing against it. */
  forgive(id: string): void {
    this.#accounts.delete(id)
  }

  last(id: string): Charge | undefined {
    return this.#accounts.get(id)?.last
  }

  /** Current points, decayed. */
  points(id: string, now: number): number {
    const account = this.#accounts.get(id)
    return account == null ? 0 : account.points * decay(account.at, now)
  }

  /** How far down a peer goes when we choose whom to dial: 0 to 5, decayed. */
  unwanted(id: string, now: number): number {
    const account = this.#accounts.get(id)
    return account == null ? 0 : account.unwanted * decay(account.at, now)
  }

  #account(id: string, now: number, last: Charge): Account {
    const known = this.#accounts.get(id)
    if (known != null) {
      const factor = decay(known.at, now)
      known.points *= factor
      known.unwanted *= factor
      known.at = now
      known.last = last
      return known
    }
    if (this.#accounts.size >= this.#maxAccounts) {
      let lightest: string | undefined
      let weight = Number.POSITIVE_INFINITY
      for (const [other, account] of this.#accounts) {
        const w = account.points * decay(account.at, now)
        if (w < weight) [lightest, weight] = [other, w]
      }
      if (lightest != null) this.#accounts.delete(lightest)
    }
    const made: Account = { points: 0, unwanted: 0, at: now, last }
    this.#accounts.set(id, made)
    return made
  }
}

/** Points below this are forgotten by the score: the least negative value already costs a peer its place in the mesh. */
const FORGIVEN = 5
/** Lowest score. Gossipsub multiplies by `appSpecificWeight` (10) and graylists below -80. */
export const LOWEST_SCORE = -4

/**
 * For gossipsub's `appSpecificScore`: 0 for strangers and the blameless, down to -4 just before a peer is disconnected. Never lower:
 * gossipsub drops a graylisted peer's subscriptions for ever, so whom it would graylist we disconnect instead.
 */
export function scoreOf(points: number): number {
  if (points < FORGIVEN) return 0
  return Math.max(LOWEST_SCORE, (LOWEST_SCORE * points) / DISCONNECT_AT)
}

function decay(from: number, now: number): number {
  return 2 ** (-Math.max(0, now - from) / HALF_LIFE_MS)
}
