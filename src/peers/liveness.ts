export interface LivenessInit {
  /** A peer silent for this long is pinged, in ms. */
  idleMs: number
  /** How long a ping may take, and how soon the next follows a missed one, in ms. */
  timeoutMs: number
  /** Missed pings in a row after which a peer is given up. */
  misses: number
}

interface Pulse {
  heardAt: number
  /** When the ping under way was sent. */
  sentAt: number | undefined
  /** No ping before this. */
  nextAt: number
  misses: number
  joinedAt: number
  /** Shortest round trip of a ping. */
  rttMs: number | undefined
}

/** How late a timer may be before our own event loop is to blame for a silence. */
export const LATE_MS = 1000

/**
 * Decides whom to ping and whom to give up. No I/O, no timer. A miss does not count when our own event loop was late meanwhile: a
 * node that mined or imported for six seconds must not throw out all its peers.
 */
export class Liveness {
  readonly #pulses = new Map<string, Pulse>()
  readonly #init: LivenessInit
  #lateAt = Number.NEGATIVE_INFINITY

  constructor(init: LivenessInit) {
    this.#init = init
  }

  add(id: string, now: number): void {
    this.#pulses.set(id, { heardAt: now, sentAt: undefined, nextAt: 0, misses: 0, joinedAt: now, rttMs: undefined })
  }

  remove(id: string): void {
    this.#pulses.delete(id)
  }

  /** Anything came from this peer. Unknown ones are left out. */
  heard(id: string, now: number): void {
    const pulse = this.#pulses.get(id)
    if (pulse == null) return
    pulse.heardAt = now
    pulse.misses = 0
  }

  /** A timer that was due `lateMs` ago fires only now. */
  lag(lateMs: number, now: number): void {
    if (lateMs >= LATE_MS) this.#lateAt = now
  }

  /** Whom to ping now. */
  due(now: number): string[] {
    const out: string[] = []
    for (const [id, pulse] of this.#pulses) {
      if (pulse.sentAt == null && now >= this.#nextAt(pulse)) out.push(id)
    }
    return out
  }

  /** When this peer is pinged next unless it is heard of before; undefined for unknown ones. */
  nextAt(id: string): number | undefined {
    const pulse = this.#pulses.get(id)
    return pulse == null ? undefined : this.#nextAt(pulse)
  }

  /** A ping is on its way. */
  sent(id: string, now: number): void {
    const pulse = this.#pulses.get(id)
    if (pulse == null) return
    pulse.sentAt = now
    pulse.nextAt = now + this.#init.timeoutMs
  }

  answered(id: string, now: number): void {
    const pulse = this.#pulses.get(id)
    if (pulse == null) return
    if (pulse.sentAt != null) pulse.rttMs = Math.min(pulse.rttMs ?? Number.POSITIVE_INFINITY, now - pulse.sentAt)
    pulse.sentAt = undefined
    this.heard(id, now)
  }

  /** Its shortest round trip; undefined before the first. */
  rttOf(id: string): number | undefined {
    return this.#pulses.get(id)?.rttMs
  }

  /** The ping could not be sent for reasons of our own. */
  skipped(id: string): void {
    const pulse = this.#pulses.get(id)
    if (pulse != null) pulse.sentAt = undefined
  }

  /** Whether an answer is being waited for. */
  isWaiting(id: string): boolean {
    return this.#pulses.get(id)?.sentAt != null
  }

  /** No answer came in time. True when that was one too many. */
  missed(id: string, now: number): boolean {
    const pulse = this.#pulses.get(id)
    if (pulse?.sentAt == null) return false
    const sentAt = pulse.sentAt
    pulse.sentAt = undefined
    if (pulse.heardAt > sentAt || this.#lateAt >= sentAt) {
      // its way is measured another time
      pulse.joinedAt = now
      return false
    }
    pulse.nextAt = Math.max(now, sentAt + this.#init.timeoutMs)
    pulse.misses++
    return pulse.misses >= this.#init.misses
  }

  /** The first ping does not wait for a silence: it measures how far away the peer is. */
  #nextAt({ misses, nextAt, heardAt, joinedAt, rttMs }: Pulse): number {
    const silentAt = (rttMs == null ? joinedAt : heardAt) + this.#init.idleMs
    return misses > 0 ? nextAt : Math.max(nextAt, silentAt)
  }
}
