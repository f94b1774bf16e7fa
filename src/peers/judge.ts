import type { IpNet } from '@chainsafe/netmask'
import type { Logger } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import { ConfigError, type Fault } from '../errors.js'
import { type Ban, Bans, subjectOf } from './bans.js'
import { ADDRESS_BAN_MS, Ledger, SHUN_MS } from './faults.js'
import { covers, ipOf } from './ip.js'
import { scopeOf } from './scope.js'

/** How long a ban by hand lasts unless said otherwise. */
const BAN_BY_HAND_MS = 24 * 3_600_000

export interface JudgeInit {
  clock: Clock
  log: Logger
  /** Only these prefixes, and none of those. */
  rules: { allow: readonly IpNet[]; deny: readonly IpNet[] }
  /** Far ends of the connections to a peer. */
  addresses(id: string): Multiaddr[]
  /** Part from this peer. */
  onSentence(id: string, reason: string): void
  /** Do not dial this one for a while; 0 takes that back. */
  onHold(id: string, ms: number): void
}

/** Says who may be here, and what a fault leads to. Owns the ledger of faults and the bans. */
export class Judge {
  readonly ledger = new Ledger()
  readonly bans = new Bans()
  readonly #init: JudgeInit

  constructor(init: JudgeInit) {
    this.#init = init
  }

  /** Books a fault and does what follows from it: nothing, a parting, or a ban, for which a public address is shut too if it was provable. */
  charge(id: string, fault: Fault, reason: string): void {
    const { clock, log, addresses, onSentence, onHold } = this.#init
    const now = clock.now()
    if (fault !== 'none') log('%s fault of %s: %s', fault, id, reason)
    const { action, banMs = 0 } = this.ledger.charge(id, fault, reason, now)
    if (action === 'nothing') return
    if (action === 'ban') {
      this.bans.add({ what: id, kind: 'peer', until: now + banMs, reason, byHand: false }, now)
      if (fault === 'provable') {
        for (const what of publicAddresses(addresses(id)))
          this.bans.add({ what, kind: 'address', until: now + ADDRESS_BAN_MS, reason, byHand: false }, now)
      }
    }
    onHold(id, SHUN_MS)
    onSentence(id, `${action === 'ban' ? 'banned' : 'too many faults'}: ${reason}`)
  }

  /**
   * Keeps a peer, an address or a prefix out, by hand.
   *
   * @throws ConfigError for what is none of them, and for options that cannot work
   */
  ban(what: string, { ms = BAN_BY_HAND_MS, reason = 'by hand' }: { ms?: number; reason?: string } = {}): Ban {
    const now = this.#init.clock.now()
    if (typeof ms !== 'number' || !(ms > 0)) throw new ConfigError('ms', `${ms} is not a time in ms above 0`)
    if (typeof reason !== 'string') throw new ConfigError('reason', 'is not a text')
    const ban = { ...subjectOf(what), until: now + ms, reason, byHand: true }
    this.bans.add(ban, now)
    return ban
  }

  /** True when there was such a ban. What a peer did before is forgotten with it. */
  lift(what: string): boolean {
    const subject = subjectOf(what)
    if (!this.bans.lift(subject.what)) return false
    if (subject.kind === 'peer') {
      this.ledger.forgive(subject.what)
      this.#init.onHold(subject.what, 0)
    }
    return true
  }

  isBanned(id: string): boolean {
    return this.bans.peer(id, this.#init.clock.now()) != null
  }

  /** Why this address may not be used, if so: a rule of the operator, or a ban. A name is not resolved: it is no allowed address. */
  objection(address: Multiaddr): string | undefined {
    const ip = ipOf(address)
    const { allow, deny } = this.#init.rules
    if (ip == null) {
      if (scopeOf(address) === 'none' && isName(address)) return 'it is a number in the place of a name'
      return allow.length > 0 && scopeOf(address) === 'public' ? 'only addresses are allowed' : undefined
    }
    if (deny.some((prefix) => covers(prefix, ip))) return `${ip} is denied`
    if (allow.length > 0 && !allow.some((prefix) => covers(prefix, ip))) return `${ip} is not among those allowed`
    const ban = this.bans.address(ip, this.#init.clock.now())
    return ban == null ? undefined : `${ban.what} is banned: ${ban.reason}`
  }
}

function isName(address: Multiaddr): boolean {
  return address.getComponents()[0]?.name.startsWith('dns') === true
}

/** IP addresses that belong to one host in the whole world, as far as one can tell: never loopback, private or a relay's. */
function publicAddresses(addresses: readonly Multiaddr[]): Set<string> {
  const found = addresses.filter((address) => scopeOf(address) === 'public').map(ipOf)
  return new Set(found.filter((ip) => ip != null))
}
