import { sha256 } from '../hash.js'

/**
 * Sizes of the two tables: a quarter of Bitcoin Core's (src/addrman.cpp: 1,024 and 256 buckets, of which a source fills 64 and a group
 * 8), so that the shares are Core's: who speaks from one group fills a sixteenth of `new`, and who answers from one group a
 * thirty-second of `tried`.
 */
export const NEW_BUCKETS = 256
export const NEW_BUCKETS_PER_SOURCE = 16
export const TRIED_BUCKETS = 64
export const TRIED_BUCKETS_PER_GROUP = 2
export const BUCKET_SIZE = 64

/** Where in the tables a peer belongs. Nobody who does not know the secret can tell. */
export class Placing {
  constructor(private readonly secret: Uint8Array) {}

  /** By whom we were told, and where the peer is said to be: all that one source tells goes into few buckets. */
  fresh(group: string, source: string): number {
    const which = this.#hash('new', group, source) % NEW_BUCKETS_PER_SOURCE
    return this.#hash('new bucket', source, String(which)) % NEW_BUCKETS
  }

  /** By where it answered: all peers of one group go into few buckets. */
  tried(id: string, group: string): number {
    const which = this.#hash('tried', id) % TRIED_BUCKETS_PER_GROUP
    return this.#hash('tried bucket', group, String(which)) % TRIED_BUCKETS
  }

  /** Which place of a full bucket this peer contends for: always the same. */
  rival(id: string): number {
    return this.#hash('rival', id) % BUCKET_SIZE
  }

  /** The first 48 bits of a keyed hash. The parts cannot run into each other. */
  #hash(...parts: string[]): number {
    const text = new TextEncoder().encode(JSON.stringify(parts))
    const bytes = new Uint8Array(this.secret.length + text.length)
    bytes.set(this.secret)
    bytes.set(text, this.secret.length)
    return sha256(bytes)
      .subarray(0, 6)
      .reduce((sum, byte) => sum * 256 + byte, 0)
  }
}

/** A table of buckets of peer IDs. */
export class Buckets {
  readonly #buckets = new Map<number, string[]>()
  readonly #places = new Map<string, number>()

  get size(): number {
    return this.#places.size
  }

  has(id: string): boolean {
    return this.#places.has(id)
  }

  of(bucket: number): readonly string[] {
    return this.#buckets.get(bucket) ?? []
  }

  isFull(bucket: number): boolean {
    return this.of(bucket).length >= BUCKET_SIZE
  }

  /** The caller has seen to it that there is room. */
  add(bucket: number, id: string): void {
    const ids = this.#buckets.get(bucket)
    if (ids == null) this.#buckets.set(bucket, [id])
    else ids.push(id)
    this.#places.set(id, bucket)
  }

  remove(id: string): void {
    const bucket = this.#places.get(id)
    if (bucket == null) return
    this.#places.delete(id)
    const left = this.of(bucket).filter((other) => other !== id)
    if (left.length > 0) this.#buckets.set(bucket, left)
    else this.#buckets.delete(bucket)
  }

  /**
   * A peer at random: a bucket is drawn among those that hold anyone of weight, one of it by weight, and that one is taken with its weight
   * (0 to 1) for odds; otherwise another bucket is drawn. So a bucket counts once, however full it is. Undefined when nobody has weight.
   */
  draw(random: () => number, weigh: (id: string) => number): string | undefined {
    const left = [...this.#buckets.values()]
    let second: string | undefined
    for (let n = left.length; n > 0; n--) {
      const at = Math.floor(random() * n)
      const ids = left[at] ?? []
      left[at] = left[n - 1] ?? []
      const weights = ids.map(weigh)
      const i = pick(weights, random())
      if (i == null) continue
      if (random() < (weights[i] ?? 0)) return ids[i]
      second ??= ids[i]
    }
    return second
  }
}

/** An index at random, by weight. */
function pick(weights: readonly number[], random: number): number | undefined {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (total === 0) return undefined
  let rest = random * total
  const i = weights.findIndex((weight) => {
    rest -= weight
    return rest < 0
  })
  // sums of fractions may be a trifle short of themselves
  return i < 0 ? weights.findLastIndex((weight) => weight > 0) : i
}
