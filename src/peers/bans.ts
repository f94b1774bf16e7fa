import type { IpNet } from '@chainsafe/netmask'
import { peerIdFromString } from '@libp2p/peer-id'
import { ConfigError } from '../errors.js'
import { covers, ipText, parsePrefix, prefixText } from './ip.js'

/** Most bans; beyond, those of faults that end first are forgotten. */
const MAX_BANS = 10_000
const MAX_REASON = 200

/** Somebody who is kept out. */
export interface Ban {
  /** A peer ID, an IP address, or a prefix in CIDR. */
  what: string
  kind: 'peer' | 'address' | 'prefix'
  /** In ms since 1970; Infinity: for ever. */
  until: number
  reason: string
  /** By `ban()`; else for a fault. */
  byHand: boolean
}

/**
 * What a ban is about, in the one way in which it is written. Throws ConfigError for what is no peer ID, address or prefix.
 */
export function subjectOf(what: string): Pick<Ban, 'what' | 'kind'> {
  const text = what.trim()
  try {
    if (text.includes('/')) return { what: prefixText(parsePrefix(text)), kind: 'prefix' }
    const ip = ipText(text)
    if (ip != null) return { what: ip, kind: 'address' }
    return { what: peerIdFromString(text).toString(), kind: 'peer' }
  } catch (cause) {
    throw new ConfigError('ban', `'${text}' is not a peer ID, an IP address or a prefix`, {
      fix: 'write it like 12D3KooW…, 203.0.113.7 or 203.0.113.0/24',
      cause
    })
  }
}

/** Sole owner of who is kept out, and until when. */
export class Bans {
  readonly #bans = new Map<string, Ban>()
  readonly #prefixes = new Map<string, IpNet>()
  readonly #changed = new Set<string>()
  readonly #max: number

  constructor(init: { max?: number } = {}) {
    this.#max = init.max ?? MAX_BANS
  }

  /** Those in force, as they were made. */
  list(now: number): Ban[] {
    this.#sweep(now)
    return [...this.#bans.values()]
  }

  get(what: string): Ban | undefined {
    return this.#bans.get(what)
  }

  /** What is done by hand holds as it is; one for a fault never shortens what is there. */
  add(ban: Ban, now: number): void {
    const known = this.#bans.get(ban.what)
    const isKept = known != null && known.until > now && !ban.byHand
    if (isKept && known.until >= ban.until) return
    if (known == null && this.#bans.size >= this.#max && !this.#makeRoom(ban, now)) return
    const byHand = ban.byHand || (isKept && known.byHand)
    this.#bans.set(ban.what, { ...ban, byHand, reason: ban.reason.slice(0, MAX_REASON) })
    if (ban.kind === 'prefix') this.#prefixes.set(ban.what, parsePrefix(ban.what))
    this.#changed.add(ban.what)
  }

  /** True when there was one. */
  lift(what: string): boolean {
    if (!this.#bans.delete(what)) return false
    this.#prefixes.delete(what)
    this.#changed.add(what)
    return true
  }

  peer(id: string, now: number): Ban | undefined {
    return this.#inForce(id, now)
  }

  /** The ban that this address falls under: its own, or that of a prefix. */
  address(ip: string, now: number): Ban | undefined {
    const own = this.#inForce(ip, now)
    if (own != null) return own
    for (const [what, prefix] of this.#prefixes) {
      if (covers(prefix, ip)) {
        const ban = this.#inForce(what, now)
        if (ban != null) return ban
      }
    }
    return undefined
  }

  /** What was added or lifted since this was last asked. */
  takeChanges(): string[] {
    const whats = [...this.#changed]
    this.#changed.clear()
    return whats
  }

  #inForce(what: string, now: number): Ban | undefined {
    const ban = this.#bans.get(what)
    if (ban == null || ban.until > now) return ban
    this.lift(what)
    return undefined
  }

  #sweep(now: number): void {
    for (const what of this.#bans.keys()) this.#inForce(what, now)
  }

  /** Of those for faults the one that ends first goes; for one by hand, if need be, the first to end of those. */
  #makeRoom({ byHand }: Ban, now: number): boolean {
    this.#sweep(now)
    if (this.#bans.size < this.#max) return true
    let first: Ban | undefined
    for (const ban of this.#bans.values()) {
      if (ban.byHand && !byHand) continue
      if (first == null || (first.byHand && !ban.byHand) || (first.byHand === ban.byHand && ban.until < first.until))
        first = ban
    }
    return first != null && this.lift(first.what)
  }
}
