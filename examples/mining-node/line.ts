/** Events as a person reads them: pure text, width 80 for the usual ones. */
import type { SyncProgress } from 'blockwire/sync'
import { clean } from './clean.js'
import type { NodeEvent } from './event.js'
import { pad } from './width.js'
import { nameText } from './wins.js'

/** A line of the log: its first word says what happened. */
export interface Line {
  word: string
  text: string
  tone: 'good' | 'plain' | 'warn' | 'bad'
}

/** The line for an event; undefined where another line already says it. */
export function lineOf(event: NodeEvent): Line | undefined {
  switch (event.event) {
    case 'mined':
      return { word: 'mined', text: `#${count(event.height)} ${short(event.hash)}   you`, tone: 'good' }
    case 'head':
      return event.own ? undefined : { word: 'got', text: gotText(event), tone: 'plain' }
    case 'fork':
      return {
        word: 'fork',
        text: `#${count(event.height)} ${short(event.ours)} here | ${short(event.theirs)} at ${shortPeer(event.peer)}`,
        tone: 'warn'
      }
    case 'reorg':
      return {
        word: 'reorg',
        text: `${short(event.to)} wins over ${short(event.from)}: ${plural(event.depth, 'block')} set aside`,
        tone: 'warn'
      }
    case 'peer':
      return event.action === 'join'
        ? { word: 'peer', text: `${shortPeer(event.peer)} joined, same rules`, tone: 'plain' }
        : {
            word: 'peer',
            text: `${shortPeer(event.peer)} left: ${clean(event.reason ?? 'no reason given', 60)}`,
            tone: 'plain'
          }
    case 'refused':
      return {
        word: 'refused',
        text: `${shortPeer(event.peer)} follows another chain: ${clean(event.field, 40)} ${clean(event.ours, 80)} here, ${clean(event.theirs, 80)} there`,
        tone: 'bad'
      }
    case 'seed':
      return seedLine(event)
    case 'repaired':
      return { word: 'repair', text: repairText(event), tone: 'warn' }
    case 'rebuild':
      return {
        word: 'rebuild',
        text: `state at ${count(event.height)} of ${count(event.goal)}: ${clean(event.why, 200)}`,
        tone: 'plain'
      }
    case 'warning':
      return { word: 'warning', text: clean(event.message, 300), tone: 'warn' }
    case 'error':
      return {
        word: 'error',
        text: `${event.code}  ${clean(event.message)}${event.fix === '' ? '' : `; ${clean(event.fix)}`}`,
        tone: 'bad'
      }
    case 'stopped':
      return { word: 'stopped', text: `at #${count(event.height)} ${short(event.hash)}, bye`, tone: 'plain' }
    case 'listening':
    case 'balance':
    case 'sync':
      return undefined
  }
}

/** Which of them are news, `SeedWatch` knows. */
function seedLine({ address, state, error = '', nextMs }: Extract<NodeEvent, { event: 'seed' }>): Line | undefined {
  const who = clean(address, 120)
  if (state === 'dialling') return undefined
  if (state === 'connected') return { word: 'seed', text: `${who} reached`, tone: 'good' }
  const trouble = `${TROUBLE[state]}: ${clean(error, 120)}${nextTry(nextMs)}`
  return { word: 'seed', text: `${who} ${trouble}`, tone: 'warn' }
}

/** The states of a seed that is not there. */
export const TROUBLE = { failed: 'not reached', waiting: 'lost' } as const

/** `; next try in 4 s`, where one is to come. */
export function nextTry(ms: number | undefined): string {
  return ms == null || ms <= 0 ? '' : `; next try in ${Math.ceil(ms / 1000)} s`
}

/** A sync of fewer blocks than this is not worth a line. */
const SYNC_BLOCKS = 10

/**
 * Watches the states of sync: a line now and then while one runs or is stalled, where that is wanted, and one when a longer one is over.
 */
export class SyncWatch {
  /** Where the sync at hand began, in blocks and ms. */
  #began: { height: number; at: number } | undefined
  #toldAt = 0
  #stalledFor = ''

  /** `everyMs`: how often to tell how far it is. */
  constructor(private readonly everyMs = Number.POSITIVE_INFINITY) {}

  /** Blocks come in bulk: single ones are no news. */
  bulk = false

  line(progress: Extract<NodeEvent, { event: 'sync' }>, now: number): Line | undefined {
    const { state, height, claimed, reason = '' } = progress
    if (state === 'stalled') {
      const isNew =
        this.#stalledFor === '' ? Number.isFinite(this.everyMs) : reason !== this.#stalledFor && this.#isDue(now)
      if (!isNew) return undefined
      this.#toldAt = now
      this.#stalledFor = reason
      return { word: 'stalled', text: `at #${count(height)}: ${clean(reason, 200)}`, tone: 'warn' }
    }
    this.#stalledFor = ''
    if (state === 'headers' || state === 'bodies') {
      if (this.#began == null) {
        this.#began = { height, at: now }
        this.#toldAt = now
      }
      this.bulk ||= claimed - this.#began.height >= SYNC_BLOCKS
      if (!this.#isDue(now) || claimed - height < SYNC_BLOCKS) return undefined
      this.#toldAt = now
      return { word: 'syncing', text: progressText(progress), tone: 'plain' }
    }
    const began = this.#began
    this.#began = undefined
    this.bulk = false
    if (began == null || state !== 'live' || height - began.height < SYNC_BLOCKS) return undefined
    const took = `${plural(height - began.height, 'block')} in ${((now - began.at) / 1000).toFixed(1)} s`
    return { word: 'synced', text: `in sync at #${count(height)}, ${took}`, tone: 'good' }
  }

  #isDue(now: number): boolean {
    return now - this.#toldAt >= this.everyMs
  }
}

/** How far a sync is, in a line without a bar. */
function progressText(progress: SyncProgress): string {
  const { state, height, target, claimed, peers } = progress
  const what =
    state === 'headers'
      ? `headers ${doneText(target, claimed, progress.headersPerSecond)}`
      : doneText(height, claimed, progress.blocksPerSecond, progress.eta)
  return `${what}  from ${plural(peers, 'peer')}`
}

/** ` 60%  10,944 of 18,240  9,120/s  1 s left`, as far as that is known. */
export function doneText(done: number, all: number, perSecond: number, eta?: number): string {
  const most = Math.max(done, all)
  const speed = perSecond > 0 && done < most ? `  ${perSecond < 10 ? perSecond : count(perSecond)}/s` : ''
  const left = eta != null && done < most ? `  ${leftText(eta)}` : ''
  return `${String(percent(done, most)).padStart(3)}%  ${count(done)} of ${count(most)}${speed}${left}`
}

/** 100 only when all is done. */
function percent(done: number, all: number): number {
  return all <= 0 ? 0 : Math.floor((done / all) * 100)
}

/** 1 s left, 3 min left, 5 h left, 12 days left. */
export function leftText(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 100) return `${seconds} s left`
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min left`
  if (seconds < 48 * 3_600) return `${Math.round(seconds / 3_600)} h left`
  const days = Math.round(seconds / 86_400)
  return days > 999 ? '999+ days left' : `${days} days left`
}

/** Repairs that are told; the others are a number. */
const REPAIRS = 3

function repairText({ height, what }: Extract<NodeEvent, { event: 'repaired' }>): string {
  const told = what.slice(0, REPAIRS).map((one) => clean(one.replace(/\b[0-9a-f]{64}\b/g, short), 160))
  const rest = what.length - told.length
  return `now at #${count(height)}: ${told.join('; ')}${rest > 0 ? `; and ${plural(rest, 'repair')} more` : ''}`
}

function gotText({ height, hash, miner, txs, blocks }: Extract<NodeEvent, { event: 'head' }>): string {
  // every block has a reward: one without any transaction is a header
  if (txs === 0) return `#${count(height)} ${short(hash)}   ${blocks > 1 ? plural(blocks, 'header') : 'header'}`
  const from = nameText(miner)
  if (blocks > 1) return `#${count(height)} ${short(hash)}   ${plural(blocks, 'block')}, the last from ${from}`
  return `#${count(height)} ${short(hash)}   ${txs > 1 ? `${pad(from, 14)} ${txs - 1} tx` : from}`
}

/** The last 6 hex digits of a hash: the first ones are zeros where there is proof of work. */
export function short(hash: string): string {
  return clean(hash.slice(-6))
}

/** A peer ID for a line that has little room: `12D3KooWBNj9...LqCa`. */
export function middleOut(peer: string): string {
  return clean(peer.length <= 24 ? peer : `${peer.slice(0, 12)}...${peer.slice(-8)}`)
}

/** The end of a peer ID, where two of them differ. */
export function shortPeer(peer: string): string {
  return clean(peer.slice(-8))
}

/** 18240 -> 18,240, the same everywhere. */
export function count(number: number): string {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',')
}

export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`
}

/** 1234 -> 1.23 kH/s. */
export function rate(hashesPerSecond: number): string {
  const units = ['H/s', 'kH/s', 'MH/s', 'GH/s']
  let value = hashesPerSecond
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`
}

/** 131 -> 2m11s. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${String(seconds % 60).padStart(2, '0')}s`
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}

/** 12:04:09, local time. */
export function clockTime(ms: number): string {
  const at = new Date(ms)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}
