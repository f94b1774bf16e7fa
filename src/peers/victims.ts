import type { Entry } from './book.js'

/** How long nobody else is looked for where a stranger did not answer. */
export const VICTIM_MS = 60_000
const MAX_HOSTS = 1000

/**
 * Hosts and ports at which we look, or looked in vain, for a stranger that we were told of. Whoever makes up peers can name a victim's
 * address for all of them, signed by each: they are not all looked for there.
 */
export class Victims {
  readonly #hosts = new Map<string, { id: string; until: number }>()

  /** Whether this one has to wait because another is, or lately was, looked for at one of its addresses. */
  covers(entry: Entry, now: number): boolean {
    if (this.#hosts.size === 0) return false
    return hostsOf(entry).some((host) => {
      const known = this.#hosts.get(host)
      return known != null && known.id !== entry.id && known.until > now
    })
  }

  /** This one is looked for, or was not there. */
  note(entry: Entry, now: number): void {
    for (const host of hostsOf(entry)) {
      this.#hosts.delete(host)
      this.#hosts.set(host, { id: entry.id, until: now + VICTIM_MS })
    }
    for (const [host, { until }] of this.#hosts) {
      if (until > now && this.#hosts.size <= MAX_HOSTS) return
      this.#hosts.delete(host)
    }
  }

  /** It was there. */
  found({ id, addresses }: Entry): void {
    for (const host of addresses.map(hostOf)) if (this.#hosts.get(host)?.id === id) this.#hosts.delete(host)
  }

  clear(): void {
    this.#hosts.clear()
  }
}

/** Of strangers that are said to be in one place the first, and everyone else. Their IDs. */
export function onePerHost(entries: readonly Entry[]): string[] {
  const taken = new Set<string>()
  const left = entries.filter((entry) => {
    const hosts = hostsOf(entry)
    const isFree = hosts.every((host) => !taken.has(host))
    if (isFree) for (const host of hosts) taken.add(host)
    return isFree
  })
  return left.map(({ id }) => id)
}

/** Where a stranger is said to be; nothing for seeds and those who once answered a dial of ours. That somebody called us says not where he is. */
function hostsOf({ seed, worked, addresses }: Entry): string[] {
  return seed || worked != null ? [] : addresses.map(hostOf)
}

/** An address without the peer's ID. */
function hostOf(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}
