/** The live lines at the foot of a terminal as text: pure, no colour. */

import { amountText } from '../../examples/mining-node/amount.js'
import { clean } from '../../examples/mining-node/clean.js'
import { count, doneText, duration, nextTry, plural, rate, short, TROUBLE } from '../../examples/mining-node/line.js'
import type { AbsentSeed } from '../../examples/mining-node/seeds.js'
import { shorten, width } from '../../examples/mining-node/width.js'
import { type Win, winsText } from '../../examples/mining-node/wins.js'
import type { SyncProgress } from '../sync/index.js'

/** What the footer shows. */
export interface Live {
  state: 'alone' | 'seeding' | 'syncing' | 'mining' | 'synced' | 'light' | 'stalled'
  /** It keeps headers only. */
  light?: boolean
  /** Of sync. */
  progress: SyncProgress
  /** Why sync waits, what comes next, and when; '' while it is all right. */
  why: string
  hash: string
  hashrate: number
  peers: LivePeers
  pool: number
  /** What our rewards come to, less what was sent, in the smallest unit; undefined where it is not known. */
  balance?: bigint | undefined
  upMs: number
  wins: Win[]
  /** Those that are not connected. */
  seeds: AbsentSeed[]
}

export interface LivePeers {
  in: number
  out: number
  /** Those that keep blocks, and those of them whose head is ours. */
  full: number
  agreed: number
}

/** The state's word from what the node says about itself. */
export function stateOf(node: {
  role: 'full' | 'light' | 'seed'
  sync: string
  mining: boolean
  peers: number
}): Live['state'] {
  if (node.role === 'seed') return 'seeding'
  if (node.sync === 'stalled') return 'stalled'
  if (node.sync === 'headers' || node.sync === 'bodies') return 'syncing'
  if (node.mining) return 'mining'
  if (node.peers === 0) return 'alone'
  return node.role === 'light' ? 'light' : 'synced'
}

/** A line for each thing that there is to say; the last one begins with the state. */
export function footerLines(live: Live): string[] {
  return [...seedLines(live.seeds), ...stateLines(live)]
}

function stateLines(live: Live): string[] {
  const { state, hash, peers, pool, upMs } = live
  const { height } = live.progress
  const all = peers.in + peers.out
  const around = `${plural(all, 'peer')}${all === 0 ? '' : ` (${peers.in} in, ${peers.out} out)`}`
  const up = `up ${duration(upMs)}`
  if (state === 'seeding') return [`seeding  ${around}  ${up}`]
  const why = whyLines(clean(live.why))
  if (state === 'syncing')
    return [
      ...barLines(live.progress, live.light ?? false),
      ...why,
      `syncing  from ${live.progress.peers} of ${around}  ${up}`
    ]
  const wins = winsText(live.wins)
  const agreed = peers.full === 0 ? '' : ` agreed by ${peers.agreed} of ${peers.full}`
  const head = `head #${count(height)} ${short(hash)}${agreed}`
  return [
    ...(wins == null ? [] : [`won by ${wins}`]),
    ...(live.balance == null ? [] : [`balance ${amountText(live.balance)}`]),
    ...why,
    `${around}  ${live.light ? 'headers only' : `pool ${pool} tx`}  ${up}  Ctrl-C stops`,
    state === 'mining' ? `mining #${count(height + 1)}  ${rate(live.hashrate)}  ${head}` : `${state}  ${head}`
  ]
}

/** Seeds that have a line; the others are a number. */
const SEEDS = 2
/** Of a terminal of 80, which leaves the last column free. */
const COLUMNS = 79
/** The address with the longest numbers of IPv4 is left whole. */
const LONGEST_ADDRESS = 30

function seedLines(seeds: AbsentSeed[]): string[] {
  const rest = seeds.length - SEEDS
  return [...seeds.slice(0, SEEDS).map(seedLine), ...(rest > 0 ? [`        and ${plural(rest, 'seed')} more`] : [])]
}

/** The log has the whole address and the whole reason. */
function seedLine({ address, trouble, error, dialling, nextMs }: AbsentSeed): string {
  const place = [...clean(address.replace(/\/p2p\/\w+$/, ''))]
  if (place.length > LONGEST_ADDRESS) place.splice(13, place.length - 27, '...')
  const seed = `seed    ${place.join('')}`
  if (trouble == null) return `${seed} is being dialled`
  const before = `${seed} ${TROUBLE[trouble]}: `
  const after = dialling ? '; trying now' : nextTry(nextMs)
  // the system's word for it says enough: the rest is the address again
  const [, word] = /\b(?:connect|getaddrinfo|read|write) (E[A-Z]+)\b/.exec(error) ?? []
  return `${before}${within(clean(word ?? error), COLUMNS - width(before + after))}${after}`
}

function within(text: string, columns: number): string {
  return width(text) <= columns ? text : `${shorten(text, columns - 3)}...`
}

/** At most two lines, broken between words. */
function whyLines(why: string): string[] {
  if (why === '') return []
  const label = 'why     '
  const room = COLUMNS - label.length
  if (width(why) <= room) return [label + why]
  const first = shorten(why, room).replace(/ [^ ]*$/, '')
  return [label + first, ' '.repeat(label.length) + within(why.slice(first.length).trimStart(), room)]
}

/** Headers come first, blocks, if any, behind them: each has a bar of its own. */
function barLines(progress: SyncProgress, light: boolean): string[] {
  const { height, target, claimed, blocksPerSecond, headersPerSecond, eta } = progress
  return [
    `headers ${bar(target, claimed)} ${doneText(target, claimed, headersPerSecond, light ? eta : undefined)}`,
    ...(light ? [] : [`blocks  ${bar(height, claimed)} ${doneText(height, claimed, blocksPerSecond, eta)}`])
  ]
}

/** Leaves room for numbers of seven digits in 80 columns. */
const BAR = 16

/** Full only when all is done. */
export function bar(done: number, all: number): string {
  const full = all <= 0 ? 0 : Math.max(0, Math.min(BAR, Math.floor((done / all) * BAR)))
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}]`
}
