import type { Logger } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, multiaddr } from '@multiformats/multiaddr'
import { type Batch, type Datastore, Key } from 'interface-datastore'
import { type Ban, type Bans, subjectOf } from './bans.js'
import { type AddressBook, type Entry, MAX_ADDRESS_LENGTH, unknown } from './book.js'
import { textOf } from './dialler.js'

/** Where in libp2p's datastore: `secret`, `anchors`, `book/<peer ID>`, `bans/<subject>`, `damaged/<name>`. docs/store.md. */
const ROOT = '/blockwire/peers'
const SECRET_BYTES = 32
const MAX_ADDRESSES = 16
const MAX_ANCHORS = 2

export interface ArchiveInit {
  datastore: Datastore
  book: AddressBook
  bans: Bans
  log: Logger
  /** Something that was kept could not be read, or something cannot be kept. */
  warn(text: string): void
}

/**
 * Keeps the book, the bans and the anchors in libp2p's datastore. A node works without what it holds: what cannot be read is set aside
 * under `damaged/` and told, what cannot be written is tried again. One write at a time.
 */
export class Archive {
  readonly #init: ArchiveInit
  readonly #unsaved = new Set<string>()
  #writing: Promise<void> | undefined
  #anchors: string[] = []
  #isFailing = false

  constructor(init: ArchiveInit) {
    this.#init = init
  }

  /** Fills book and bans. Answers the anchors. Does not reject. */
  async load(now: number): Promise<string[]> {
    const { book, bans } = this.#init
    const damaged: string[] = []
    try {
      const kept = new Map<string, Uint8Array>()
      for await (const { key, value } of this.#init.datastore.query({ prefix: `${ROOT}/` })) {
        kept.set(key.toString().slice(ROOT.length + 1), value)
      }
      const take = <T>(name: string, read: (bytes: Uint8Array) => T): T | undefined => {
        const bytes = kept.get(name)
        try {
          return bytes == null ? undefined : read(bytes)
        } catch (err) {
          this.#init.log('%s is damaged - %e', name, err)
          damaged.push(name)
          return undefined
        }
      }
      const names = [...kept.keys()]
      book.rekey(take('secret', readSecret) ?? (await this.#makeSecret()))
      const entries = names.filter((name) => name.startsWith('book/')).flatMap((name) => take(name, readEntry) ?? [])
      // those that proved themselves first: they have the right of way into the tables
      for (const { entry, tried } of entries.sort((a, b) => Number(b.tried) - Number(a.tried))) {
        if (!book.restore(entry, tried, now)) this.#unsaved.add(`book/${entry.id}`)
      }
      for (const name of names.filter((one) => one.startsWith('bans/'))) {
        const ban = take(name, readBan)
        if (ban != null) bans.add(ban, now)
      }
      this.#anchors = take('anchors', readAnchors) ?? []
      book.takeChanges()
      bans.takeChanges()
      if (damaged.length > 0) await this.#setAside(damaged, kept)
    } catch (err) {
      this.#init.warn(`what was kept of peers cannot be read: ${textOf(err)}`)
    }
    return this.#anchors
  }

  /** Writes what has changed. Resolves when it is written, or could not be; does not reject. */
  save(anchors: readonly string[]): Promise<void> {
    const { book, bans } = this.#init
    for (const id of book.takeChanges()) this.#unsaved.add(`book/${id}`)
    for (const what of bans.takeChanges()) this.#unsaved.add(banName(what))
    if (anchors.join() !== this.#anchors.join()) {
      this.#anchors = [...anchors]
      this.#unsaved.add('anchors')
    }
    if (this.#unsaved.size === 0) return this.#writing ?? Promise.resolve()
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  async #write(): Promise<void> {
    // what comes up meanwhile goes with the next batch; after a failure everything waits for the next call
    while (this.#unsaved.size > 0) {
      const names = [...this.#unsaved]
      this.#unsaved.clear()
      try {
        const batch = this.#init.datastore.batch()
        for (const name of names) this.#put(batch, name)
        await batch.commit()
        this.#isFailing = false
      } catch (err) {
        for (const name of names) this.#unsaved.add(name)
        if (!this.#isFailing) this.#init.warn(`what is known of peers cannot be kept: ${textOf(err)}`)
        this.#isFailing = true
        return
      }
    }
  }

  #put(batch: Batch, name: string): void {
    const value = this.#value(name)
    if (value == null) batch.delete(keyOf(name))
    else batch.put(keyOf(name), new TextEncoder().encode(JSON.stringify(value)))
  }

  /** What is to be kept under that name now; undefined for nothing. */
  #value(name: string): object | undefined {
    const { book, bans } = this.#init
    const [kind, id = ''] = name.split('/')
    if (kind === 'anchors') return this.#anchors
    if (kind === 'bans') {
      const ban = bans.get(decodeURIComponent(id))
      // JSON knows no Infinity
      return ban == null ? undefined : { ...ban, until: Number.isFinite(ban.until) ? ban.until : null }
    }
    const entry = book.get(id)
    if (entry == null || entry.seed) return undefined
    const { seq, source, seenAt, provenAt, failures, endedAt } = entry
    const addresses = entry.addresses.filter((address) => address.length <= MAX_ADDRESS_LENGTH).slice(0, MAX_ADDRESSES)
    if (addresses.length === 0) return undefined
    return { id, addresses, seq: seq?.toString(), source, seenAt, provenAt, failures, endedAt, tried: book.isTried(id) }
  }

  async #makeSecret(): Promise<Uint8Array> {
    const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES))
    try {
      await this.#init.datastore.put(keyOf('secret'), secret)
    } catch (err) {
      this.#init.log('the secret cannot be kept - %e', err)
    }
    return secret
  }

  async #setAside(names: readonly string[], kept: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const batch = this.#init.datastore.batch()
    // one generation of what was damaged is enough
    for (const name of kept.keys()) if (name.startsWith('damaged/')) batch.delete(keyOf(name))
    for (const name of names) {
      batch.put(keyOf(`damaged/${encodeURIComponent(name)}`), kept.get(name) ?? new Uint8Array())
      // a secret was made anew in its place
      if (name !== 'secret') batch.delete(keyOf(name))
    }
    await batch.commit()
    const what = names.length === 1 ? names[0] : `${names.length} records, ${names[0]} among them,`
    this.#init.warn(`of what was kept of peers, ${what} cannot be read and was set aside; it is learned anew`)
  }
}

function keyOf(name: string): Key {
  return new Key(`${ROOT}/${name}`)
}

function banName(what: string): string {
  return `bans/${encodeURIComponent(what)}`
}

function readSecret(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== SECRET_BYTES) throw new Error(`it has ${bytes.length} bytes`)
  return bytes
}

function readEntry(bytes: Uint8Array): { entry: Entry; tried: boolean } {
  const { id, addresses, seq, source, seenAt, provenAt, failures, endedAt, tried } = object(bytes)
  const peer = peerIdFromString(text(id)).toString()
  if (!Array.isArray(addresses) || addresses.length === 0 || addresses.length > MAX_ADDRESSES)
    throw new Error('it has no addresses')
  for (const address of addresses) {
    const last = multiaddr(text(address)).getComponents().at(-1)
    if (last?.code !== CODE_P2P || last.value !== peer) throw new Error(`'${address}' is not an address of ${peer}`)
  }
  const entry = unknown(peer, false, addresses.map(text), number(seenAt))
  entry.seq = seq == null ? undefined : BigInt(text(seq))
  entry.source = text(source)
  entry.provenAt = provenAt == null ? undefined : number(provenAt)
  entry.failures = number(failures)
  entry.endedAt = number(endedAt)
  return { entry, tried: tried === true }
}

function readBan(bytes: Uint8Array): Ban {
  const { what, until, reason, byHand } = object(bytes)
  const end = until == null ? Number.POSITIVE_INFINITY : number(until)
  return { ...subjectOf(text(what)), until: end, reason: text(reason), byHand: byHand === true }
}

function readAnchors(bytes: Uint8Array): string[] {
  const ids: unknown = JSON.parse(new TextDecoder().decode(bytes))
  if (!Array.isArray(ids)) throw new Error('it is not a list')
  return ids.slice(0, MAX_ANCHORS).map((id) => peerIdFromString(text(id)).toString())
}

function object(bytes: Uint8Array): Record<string, unknown> {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  if (typeof value !== 'object' || value == null) throw new Error('it is not an object')
  return value as Record<string, unknown>
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_ADDRESS_LENGTH) throw new Error('a text is none, or too long')
  return value
}

function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new Error('a number is none')
  return value
}
