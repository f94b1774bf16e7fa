import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import { Churn } from './churn.js'
import { evictee, type Guest } from './eviction.js'
import { HALF_LIFE_MS } from './faults.js'
import { sourceOf } from './group.js'
import type { JoinedPeer } from './index.js'

export interface TurnoverInit {
  clock: Clock
  random: () => number
  maxInbound: number
  members: ReadonlyMap<string, JoinedPeer>
  /** Whether it is on its way out already. */
  isLeaving(id: string): boolean
  isSeed(id: string): boolean
  rttOf(id: string): number | undefined
  /** Whether all outbound connections that we want are there, and who could take the place of one. */
  outboundFull(): boolean
  /** To be sent away, so that another can come. */
  onReplaced(id: string, why: 'evicted' | 'replaced'): void
}

/** Who has to go when there is no room, and who goes now and then all the same. Owns how useful each peer was lately. */
export class Turnover {
  readonly #init: TurnoverInit
  readonly #merits = new Map<string, { points: number; at: number }>()
  readonly #ranks = new Map<string, number>()
  #churn: Churn

  constructor(init: TurnoverInit) {
    this.#init = init
    this.#churn = new Churn(init.clock.now(), init.random)
  }

  /** Something new came from it that was worth having. Halves every ten minutes. */
  useful(id: string): void {
    if (!this.#init.members.has(id)) return
    this.#merits.set(id, { points: this.pointsOf(id) + 1, at: this.#init.clock.now() })
  }

  pointsOf(id: string): number {
    const merit = this.#merits.get(id)
    return merit == null ? 0 : merit.points * 2 ** (-(this.#init.clock.now() - merit.at) / HALF_LIFE_MS)
  }

  left(id: string): void {
    this.#merits.delete(id)
  }

  clear(): void {
    this.#merits.clear()
    this.#ranks.clear()
    this.#churn = new Churn(this.#init.clock.now(), this.#init.random)
  }

  /** Whether an inbound newcomer finds a place; somebody else may have to go for it. */
  makeRoom(newcomer: string, remote: Multiaddr): boolean {
    const { clock, maxInbound, isSeed, onReplaced } = this.#init
    const guests = this.#inbound()
    if (guests.length < maxInbound || isSeed(newcomer)) return true
    const candidates = guests.filter((guest) => !isSeed(guest.id))
    const id = evictee(candidates, clock.now(), (group) => this.#rank(group), sourceOf(remote))
    if (id == null) return false
    onReplaced(id, 'evicted')
    return true
  }

  /** To be called every second. */
  look(): void {
    const { clock, members, maxInbound, outboundFull, isSeed, isLeaving, onReplaced } = this.#init
    const now = clock.now()
    if (now < this.#churn.nextAt) return
    const peers = [...members]
      .filter(([id]) => !isSeed(id) && !isLeaving(id))
      .map(([id, { direction, since }]) => ({ id, direction, since, useful: this.pointsOf(id) }))
    const full = { inbound: this.#inbound().length >= maxInbound, outbound: outboundFull() }
    const id = this.#churn.choose(now, peers, full)
    if (id != null) onReplaced(id, 'replaced')
  }

  #inbound(): Guest[] {
    const { members, isLeaving, rttOf } = this.#init
    return [...members]
      .filter(([id, { direction }]) => direction === 'inbound' && !isLeaving(id))
      .map(([id, { connection, since }]) => ({
        ...{ id, since, group: sourceOf(connection.remoteAddr) },
        ...{ rttMs: rttOf(id), useful: this.pointsOf(id) }
      }))
  }

  /** Drawn once for each group, and so unknown to others. Drawn anew after 10,000. */
  #rank(group: string): number {
    const known = this.#ranks.get(group)
    if (known != null) return known
    const rank = this.#init.random()
    if (this.#ranks.size >= 10_000) this.#ranks.clear()
    this.#ranks.set(group, rank)
    return rank
  }
}
