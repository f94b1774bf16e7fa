import type { Clock } from '../clock.js'
import type { Archive } from './archive.js'
import type { AddressBook } from './book.js'
import type { JoinedPeer } from './index.js'

/** How often what is to be kept is written; bans are written at once. */
const SAVE_MS = 10_000
/** How soon after a peer has joined: a node that is killed in its first seconds is to find its way back. */
const JOINED_MS = 1000
/** How often the book is searched for peers that nobody has seen for a month. */
const SWEEP_MS = 3_600_000
/** Peers that stood by us longest, redialled first after a restart. Bitcoin Core keeps as many. */
const ANCHORS = 2

export interface KeeperInit {
  clock: Clock
  archive: Archive
  book: AddressBook
  members: ReadonlyMap<string, JoinedPeer>
}

/** Sees to it that what is known of peers outlives us. Owns the anchors. */
export class Keeper {
  readonly #init: KeeperInit
  #anchors: string[] = []
  #saveAt = 0
  #sweepAt = 0

  constructor(init: KeeperInit) {
    this.#init = init
  }

  /** Those that we dialled and that stood by us longest, now or before all were lost. */
  get anchors(): readonly string[] {
    return this.#anchors
  }

  /** Does not reject. */
  async load(): Promise<void> {
    const { clock, archive } = this.#init
    this.#anchors = await archive.load(clock.now())
    this.#saveAt = clock.now() + SAVE_MS
    this.#sweepAt = clock.now() + SWEEP_MS
  }

  /** To be called every second. Resolves when what was due is done; does not reject. */
  async look(): Promise<void> {
    const { clock, book } = this.#init
    const now = clock.now()
    if (now >= this.#sweepAt) {
      this.#sweepAt = now + SWEEP_MS
      book.sweep(now)
    }
    if (now < this.#saveAt) return
    this.#saveAt = now + SAVE_MS
    await this.save()
  }

  /** Somebody has joined. */
  joined(): void {
    this.#saveAt = Math.min(this.#saveAt, this.#init.clock.now() + JOINED_MS)
  }

  /** Whom we have now may be gone in a moment. */
  note(): void {
    const { members, book } = this.#init
    const outbound = [...members]
      .filter(([id, { direction }]) => direction === 'outbound' && book.get(id)?.seed === false)
      .sort(([, a], [, b]) => a.since - b.since)
      .map(([id]) => id)
    // whom we have lost may still be the first to come back to
    if (outbound.length > 0) this.#anchors = outbound.slice(0, ANCHORS)
  }

  /** Writes what has changed. Does not reject. */
  save(): Promise<void> {
    this.note()
    return this.#init.archive.save(this.#anchors, this.#init.clock.now())
  }
}
