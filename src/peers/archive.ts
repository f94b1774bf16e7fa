import type { Logger } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, multiaddr } from '@multiformats/multiaddr'
import { type Batch, type Datastore, Key } from 'interface-datastore'
import { MAX_ADDRESS_LENGTH } from './addresses.js'
import { type Ban, type Bans, subjectOf } from './bans.js'
import { type AddressBook, type Entry, unknown } from './book.js'
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
 * under `damaged/` and told, what cannot be written is tried again. Nothing is written before all was read. One write at a time.
 */
export class Archive {
  readonly #init: ArchiveInit
  /** Names of the records that differ from the store's. */
  readonly #unsaved = new Set<string>()
  #loading: Promise<void> | undefined
  #writing: Promise<void> | undefined
  #anchors: string[] = []
  #isLoaded = false
  /** What was last told to be wrong, until it works again. */
  #trouble: string | undefined

  constructor(init: ArchiveInit) {
    this.#init = init
  }

  /** Fills book and bans. Answers the anchors. Does not reject: a store that cannot be read is read at the next save. */
  async load(now: number): Promise<string[]> {
    await this.#attempt('what was kept of peers cannot be read', () => this.#load(now))
    return this.#anchors
  }

  /** Writes what has changed. Resolves when it is written, or could not be; does not reject. */
  save(anchors: readonly string[], now: number): Promise<void> {
    this.#collect()
    if (anchors.join() !== this.#anchors.join()) {
      this.#anchors = [...anchors]
      this.#unsaved.add('anchors')
    }
    if (this.#isLoaded && this.#unsaved.size === 0) return this.#writing ?? Promise.resolve()
    this.#writing ??= this.#attempt('what is known of peers cannot be kept', () => this.#write(now)).finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  #collect(): void {
    for (const id of this.#init.book.takeChanges()) this.#unsaved.add(`book/${id}`)
    for (const what of this.#init.bans.takeChanges()) this.#unsaved.add(banName(what))
  }

  /** Tells once what is wrong, and again after it has worked. */
  async #attempt(problem: string, task: () => Promise<void>): Promise<void> {
    try {
      await task()
      this.#trouble = undefined
    } catch (err) {
      if (this.#trouble !== problem) this.#init.warn(`${problem}: ${textOf(err)}`)
      this.#trouble = problem
    }
  }

  /** Once at a time: a save may come while the first load is still under way. */
  #load(now: number): Promise<void> {
    this.#loading ??= this.#read(now).finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #read(now: number): Promise<void> {
    const kept = new Map<string, Uint8Array>()
    for await (const { key, value } of this.#init.datastore.query({ prefix: `${ROOT}/` })) {
      kept.set(key.toString().slice(ROOT.length + 1), value)
    }
    const secret = kept.has('secret') ? undefined : await this.#makeSecret()
    if (secret != null) kept.set('secret', secret)
    const damaged = this.#take(kept, now)
    this.#isLoaded = true
    if (damaged.length > 0) await this.#setAside(damaged, kept)
  }

  /** Fills book and bans from what was read, and answers the names of what could not be. Takes no time in which others could write. */
  #take(kept: ReadonlyMap<string, Uint8Array>, now: number): string[] {
    const { book, bans, log } = this.#init
    const damaged: string[] = []
    const read = <T>(name: string, decode: (bytes: Uint8Array) => T): T[] => {
      const bytes = kept.get(name)
      try {
        return bytes == null ? [] : [decode(bytes)]
      } catch (err) {
        log('%s is damaged - %e', name, err)
        damaged.push(name)
        return []
      }
    }
    const readAll = <T>(folder: string, decode: (bytes: Uint8Array) => T): T[] =>
      [...kept.keys()].filter((name) => name.startsWith(`${folder}/`)).flatMap((name) => read(name, decode))

    // what is new in memory, when this comes late, is not in the store yet; what is taken now is
    this.#collect()
    for (const secret of read('secret', readSecret)) book.rekey(secret)
    // those that proved themselves first: they have the right of way into the tables
    const entries = readAll('book', readEntry).sort((a, b) => Number(b.tried) - Number(a.tried))
    const homeless = entries.filter(({ entry, tried }) => !book.restore(entry, tried, now))
    for (const ban of readAll('bans', readBan)) bans.add(ban, now)
    this.#anchors = read('anchors', readAnchors)[0] ?? []
    book.takeChanges()
    bans.takeChanges()
    for (const { entry } of homeless) this.#unsaved.add(`book/${entry.id}`)
    book.sweep(now)
    return damaged
  }

  async #write(now: number): Promise<void> {
    if (!this.#isLoaded) await this.#load(now)
    // what comes up meanwhile goes with the next batch; after a failure everything waits for the next call
    while (this.#unsaved.size > 0) {
      const names = [...this.#unsaved]
      this.#unsaved.clear()
      try {
        const batch = this.#init.datastore.batch()
        for (const name of names) this.#put(batch, name)
        await batch.commit()
      } catch (err) {
        for (const name of names) this.#unsaved.add(name)
        throw err
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

  /** Where it cannot be kept, the tables are arranged anew at the next start. */
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
      batch.delete(keyOf(name))
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
