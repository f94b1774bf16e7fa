import type { Verdict } from '../chain/index.js'
import type { Fault } from '../errors.js'
import { sha256 } from '../hash.js'
import { equalBytes } from '../hex.js'
import { BitList } from './bit-list.js'
import { BLOCKS_PER_S, COMMITMENTS_ON_TOP, LEAST_PRESYNC, MAX_COMMITMENTS, REDOWNLOAD_BYTES } from './limit.js'
import type { SyncMinimum, SyncWalk } from './port.js'

/** Longest way between two commitments. Bitcoin Core's is 641 by now, with headers of 80 bytes. */
const MAX_PERIOD = 640
/** A chain may have changed so far below its tip between one request and the next: that is no lie. */
const HONEST_REORG = 144

export interface PresyncInit {
  /** A walk behind the block where the peer's chain leaves ours. */
  walk: SyncWalk
  /** The same walk once more: for the second download, whose first header is passed. Undefined where that does not stand there. */
  again(header: Uint8Array): SyncWalk | undefined
  /** What the chain must have before any header of it is kept. */
  threshold: SyncMinimum
  /** 32 random bytes, unknown to the peer. */
  salt: Uint8Array
  /** Height that the peer claims. */
  claimed: number
  /** Largest header of the chain, bytes. */
  headerBytes: number
  now: number
}

/** Why a peer's headers lead nowhere, and what that costs it. */
export interface PresyncEnd {
  why: string
  fault: Fault
}

/** `more`: go on. `again`: there is enough work, ask from the start once more. `done`: proven twice, the rest goes straight on. */
export type PresyncStep = 'more' | 'again' | 'done' | { verdict: Verdict } | { end: PresyncEnd }

/**
 * One peer's headers below the threshold, downloaded twice. The first time they are checked and their work is summed, and of every
 * `period`th one bit of a salted hash is kept. When the chain has work enough it is asked for again; a header is released only when 24 such
 * bits on top of it were found to be the same, so that what is kept leads to the chain that was seen first. Bitcoin Core: headerssync.cpp;
 * other than there, headers are checked by all rules of the chain both times. Pure; memory is bounded by `bytes`.
 */
export class Presync {
  phase: 'presync' | 'redownload' = 'presync'
  /** Headers checked in the first download. */
  headers = 0
  readonly #init: PresyncInit
  /** Where it begins. */
  readonly #start: Uint8Array
  readonly #startHeight: number
  readonly #period: number
  readonly #offset: number
  readonly #maxHeaders: number
  readonly #bits = new BitList(MAX_COMMITMENTS)
  #walk: SyncWalk | undefined
  /** Height at which the first download had work enough. */
  #endHeight = 0
  #checked = 0
  /** Headers of the second download that wait for commitments on top of them. */
  #buffer: Uint8Array[] = []
  #buffered = 0
  #ready: Uint8Array[] = []

  constructor(init: PresyncInit) {
    this.#init = init
    this.#walk = init.walk
    const { hash, height, header } = init.walk.last
    this.#start = hash
    this.#startHeight = height
    this.#period = periodOf(init.headerBytes, init.claimed - height)
    const seed = sha256(init.salt)
    this.#offset = new DataView(seed.buffer, seed.byteOffset).getUint32(0) % this.#period
    const seconds = Math.max(0, init.now - header.time) / 1_000
    this.#maxHeaders = Math.max(LEAST_PRESYNC, Math.floor(seconds * BLOCKS_PER_S))
  }

  /** Of the last header that was good, in the download under way. */
  get height(): number {
    return this.#walk?.last.height ?? this.#startHeight
  }

  /** Total work up to that header. */
  get work(): bigint {
    return this.#walk?.last.work ?? 0n
  }

  /** What is kept, but for the last few headers that rules look back at. */
  get bytes(): number {
    return this.#bits.bytes + this.#buffered
  }

  /** From where to go on. */
  get locator(): Uint8Array[] {
    const last = this.#walk?.last.hash
    return last == null || equalBytes(last, this.#start) ? [this.#start] : [last, this.#start]
  }

  add(header: Uint8Array): PresyncStep {
    if (this.phase === 'presync') return this.#first(header)
    return this.#second(header)
  }

  /** Headers that may be kept now, in order. They are handed out once. */
  release(): Uint8Array[] {
    const ready = this.#ready
    this.#ready = []
    return ready
  }

  #first(header: Uint8Array): PresyncStep {
    const walk = this.#walk!
    const verdict = walk.add(header)
    if (verdict.result !== 'accept') return this.#refused(verdict)
    this.headers++
    if (this.#commits() && !this.#bits.push(this.#bit())) return end('its headers are too many to be checked')
    if (reaches(walk.last, this.#init.threshold)) {
      this.phase = 'redownload'
      this.#endHeight = walk.last.height
      this.#walk = undefined
      return 'again'
    }
    if (this.headers >= this.#maxHeaders) return end(`${this.headers} headers are more than a chain can have by now`)
    return 'more'
  }

  #second(header: Uint8Array): PresyncStep {
    this.#walk ??= this.#init.again(header)
    const walk = this.#walk
    if (walk == null) return this.#refused({ result: 'ignore', reason: 'unknown-parent' })
    const verdict = walk.add(header)
    if (verdict.result !== 'accept') return this.#refused(verdict)
    const { height } = walk.last
    if (this.#commits() && this.#bits.at(this.#checked++) !== this.#bit()) {
      // so far up the peer may have moved to a better branch in between
      const fault = height < this.#endHeight - HONEST_REORG ? 'protocol' : 'none'
      return end(`its header ${height} is not the one that it sent before`, fault)
    }
    const own = new Uint8Array(header)
    this.#buffer.push(own)
    this.#buffered += own.length
    if (reaches(walk.last, this.#init.threshold)) {
      this.#hand(this.#buffer.length)
      return 'done'
    }
    this.#hand(this.#buffer.length - this.#period * COMMITMENTS_ON_TOP)
    if (this.#buffered > Math.max(REDOWNLOAD_BYTES, COMMITMENTS_ON_TOP * this.#init.headerBytes)) {
      return end('its headers are too large for so long a chain')
    }
    return 'more'
  }

  #hand(count: number): void {
    if (count <= 0) return
    for (const header of this.#buffer.splice(0, count)) {
      this.#buffered -= header.length
      this.#ready.push(header)
    }
  }

  #refused(verdict: Verdict): PresyncStep {
    if (verdict.result !== 'ignore' || verdict.reason !== 'unknown-parent') return { verdict }
    // another branch is better by now, perhaps
    return end('its headers do not go on where they ended')
  }

  #commits(): boolean {
    return this.height % this.#period === this.#offset
  }

  #bit(): boolean {
    const { hash } = this.#walk!.last
    const salted = new Uint8Array(64)
    salted.set(this.#init.salt)
    salted.set(hash, 32)
    return (sha256(salted)[0]! & 1) === 1
  }
}

/** So that the buffer has room for `COMMITMENTS_ON_TOP` periods of the largest headers, and the list for a chain of that length. */
function periodOf(headerBytes: number, headers: number): number {
  const roomy = Math.min(MAX_PERIOD, Math.floor(REDOWNLOAD_BYTES / headerBytes / COMMITMENTS_ON_TOP))
  return Math.max(1, roomy, Math.ceil(headers / (MAX_COMMITMENTS / 2)))
}

function end(why: string, fault: Fault = 'none'): PresyncStep {
  return { end: { why, fault } }
}

export function reaches(place: SyncMinimum, minimum: SyncMinimum): boolean {
  return place.work >= minimum.work && place.height >= minimum.height
}
