import type { Entry } from './book.js'

/** How long nobody else is looked for where a stranger did not answer. */
export const VICTIM_MS = 60_000
const MAX_HOSTS = 1000

/**
 * Hosts and ports at which a stranger that we were told of did not answer. Whoever makes up peers can name a victim's address for all
 * of them, signed by each: they are not all looked for there.
 */
export class Victims {
  readonly #hosts = new Map<string, { id: string; until: number }>()

  /** Whether this one has to wait because another was looked for at one of its addresses, in vain. */
  covers({ id, seed, provenAt, addresses }: Entry, now: number): boolean {
    if (seed || provenAt != null || this.#hosts.size === 0) return false
    return addresses.some((address) => {
      const host = this.#hosts.get(hostOf(address))
      return host != null && host.id !== id && host.until > now
    })
  }

  /** This one did not answer. */
  failed({ id, seed, provenAt, addresses }: Entry, now: number): void {
    if (seed || provenAt != null) return
    for (const address of addresses) {
      const host = hostOf(address)
      this.#hosts.delete(host)
      this.#hosts.set(host, { id, until: now + VICTIM_MS })
    }
    for (const [host, { until }] of this.#hosts) {
      if (until > now && this.#hosts.size <= MAX_HOSTS) return
      this.#hosts.delete(host)
    }
  }

  clear(): void {
    this.#hosts.clear()
  }
}

/** An address without the peer's ID. */
function hostOf(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}
