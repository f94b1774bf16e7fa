import { type Clock, steady } from '../clock.js'
import { BusyError, MalformedError, NotFoundError } from '../errors.js'
import { toHex } from '../hex.js'
import type { GetIds, GetPending, PoolRequest } from '../pb/catch-up.js'
import type { RequestContext } from '../protocol/index.js'
import { decodeShorts, encodeShorts, SHORT_BYTES, SipHash } from '../siphash.js'
import { MAX_ASKED, MAX_IDS, PAGE_IDS, SALT_BYTES, SESSION_EVERY_MS } from './catch-up-wire.js'
import type { Pool } from './port.js'

/** The asker's minute need not be ours to the second. */
const LENIENT_MS = 5_000
const SESSION_MS = 120_000
const MAX_SESSIONS = 256
/** What a session may be sent beside the pool as it was at its beginning. */
const SPARE_BYTES = 1_048_576
/** Transactions that are handed on at once. */
const PAGE_TXS = 64
const ID_BYTES = 32

interface Session {
  salt: string
  at: number
  /** Bytes that it may still be sent. */
  left: number
}

export interface ServerInit {
  pool: Pick<Pool, 'ids' | 'get' | 'size' | 'bytes'>
  clock: Clock
  /** Are we live? What is pooled before that may be mined long since. */
  live(): boolean
}

/**
 * Answers `pool/1`. Keeps of each session its salt and what it may still be sent; the one table of short IDs is that of who asked last,
 * and made anew for another.
 */
export class CatchUpServer {
  readonly #clock: Clock
  readonly #sessions = new Map<string, Session>()
  #table: { salt: string; ids: Map<number, Uint8Array> } | undefined

  constructor(private readonly init: ServerInit) {
    this.#clock = steady(init.clock)
  }

  /** @throws MalformedError, BusyError, NotFoundError */
  answer({ ids, txs }: PoolRequest, context: Pick<RequestContext, 'peer' | 'spend'>): AsyncGenerator<Uint8Array[]> {
    if (ids != null) return this.#ids(ids, context)
    if (txs != null) return this.#txs(txs, context)
    throw new MalformedError('a request for nothing')
  }

  async *#ids({ salt }: GetIds, { peer, spend }: Pick<RequestContext, 'peer' | 'spend'>): AsyncGenerator<Uint8Array[]> {
    checkSalt(salt)
    const { pool } = this.init
    if (!this.init.live()) throw new BusyError(SESSION_EVERY_MS)
    const key = peer.toString()
    const now = this.#clock.now()
    const last = this.#sessions.get(key)
    if (last != null && now - last.at < SESSION_EVERY_MS - LENIENT_MS) {
      throw new BusyError(last.at + SESSION_EVERY_MS - now)
    }
    this.#sessions.delete(key)
    this.#sessions.set(key, { salt: toHex(salt), at: now, left: pool.bytes + SPARE_BYTES })
    this.#forget(now)
    await spend(ID_BYTES * pool.size)
    const shorts = [...this.#tableOf(salt).keys()].slice(0, MAX_IDS)
    for (let from = 0; from < shorts.length; from += PAGE_IDS) yield [encodeShorts(shorts.slice(from, from + PAGE_IDS))]
  }

  async *#txs(
    { salt, ids }: GetPending,
    { peer, spend }: Pick<RequestContext, 'peer' | 'spend'>
  ): AsyncGenerator<Uint8Array[]> {
    checkSalt(salt)
    const count = ids.length / SHORT_BYTES
    if (!Number.isInteger(count) || count < 1 || count > MAX_ASKED)
      throw new MalformedError(`${ids.length} bytes of short IDs, not 1 to ${MAX_ASKED} of ${SHORT_BYTES}`)
    const { pool } = this.init
    const session = this.#sessions.get(peer.toString())
    if (session?.salt !== toHex(salt) || this.#clock.now() - session.at > SESSION_MS)
      throw new NotFoundError('there is no such session')
    if (session.left <= 0) throw new BusyError(SESSION_EVERY_MS)
    if (this.#table?.salt !== session.salt) await spend(ID_BYTES * pool.size)
    const table = this.#tableOf(salt)
    let page: Uint8Array[] = []
    for (const short of decodeShorts(ids)) {
      const id = table.get(short)
      const tx = id == null ? undefined : pool.get(id)
      if (tx == null) continue
      session.left -= tx.length
      page.push(tx)
      if (page.length < PAGE_TXS) continue
      yield page
      page = []
    }
    if (page.length > 0) yield page
  }

  /** What is pooled since the table was made is in none of its pages: nobody asks for it. */
  #tableOf(salt: Uint8Array): Map<number, Uint8Array> {
    const key = toHex(salt)
    if (this.#table?.salt === key) return this.#table.ids
    const sip = new SipHash(salt)
    const ids = new Map<number, Uint8Array>()
    for (const id of this.init.pool.ids()) ids.set(sip.short(id), id)
    this.#table = { salt: key, ids }
    return ids
  }

  #forget(now: number): void {
    for (const [key, { at }] of this.#sessions) {
      if (this.#sessions.size <= MAX_SESSIONS && now - at <= SESSION_MS) break
      this.#sessions.delete(key)
    }
  }
}

function checkSalt(salt: Uint8Array): void {
  if (salt.length !== SALT_BYTES) throw new MalformedError(`a salt of ${salt.length} bytes, not ${SALT_BYTES}`)
}
