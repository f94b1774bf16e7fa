import { FIRST_PATIENCE_MS, HEADERS_PATIENCE_MS } from './limit.js'
import type { SyncReport } from './report.js'

type Facts = Omit<SyncReport, 'why'>

/** Why sync is where it is, what comes next, and when: one sentence, without names longer than the end of a peer ID. Pure. */
export function why(facts: Facts): string {
  const { state, reason } = facts
  const parts = reason == null ? [] : [reason]
  if (state === 'idle') parts.push('sync does not run')
  if (state === 'live') parts.push(...following(facts))
  if (state === 'headers' || state === 'bodies' || state === 'stalled') parts.push(nextStep(facts))
  return parts.join('; ')
}

function following({ parked, sources, light }: Facts): string[] {
  const doubted = sources.filter(({ doubt, standing }) => doubt != null && standing === 'open').length
  const parts = [`nothing is missing: follows ${light == null ? 'gossip and ' : ''}what peers announce`]
  if (parked.length > 0)
    parts.push(`${parked.length} better ${parked.length === 1 ? 'branch' : 'branches'} nobody delivers`)
  if (doubted > 0) parts.push(`${doubted} ${doubted === 1 ? 'peer claims' : 'peers claim'} more and did not show it`)
  return parts
}

function nextStep(facts: Facts): string {
  const { retryMs, window } = facts
  if (retryMs != null) return `tried again in ${seconds(retryMs)}`
  switch (window.front?.state) {
    case 'asked':
      return delivery(facts)
    case 'wanted':
      return `block ${window.front.height} is wanted: ${soonest(facts, 'blocks') ?? 'goes on as soon as a peer offers it'}`
    case 'here':
    case 'importing':
      return `blocks from ${window.front.height} on are being checked and written`
    default:
      return headers(facts)
  }
}

function delivery(facts: Facts): string {
  const { window, requests } = facts
  const height = window.front!.height
  const request = requests.findLast(({ from, to }) => from != null && from <= height && height <= to!)
  if (request == null) return `block ${height} is on its way`
  const { peer, from, to, ageMs } = request
  const others = facts.sources.some((source) => source.peer !== peer && source.next?.action === 'blocks')
  const then = others
    ? `another peer is asked when they hold up the rest, after ${seconds(window.stallMs)} at the latest`
    : 'no other has them'
  return `waiting for blocks ${from} to ${to} of ${name(peer)}, asked ${seconds(ageMs)} ago; ${then}`
}

function headers(facts: Facts): string {
  const asked = facts.requests.filter((request) => request.for === 'headers')
  if (asked.length === 0) return soonest(facts, 'headers') ?? 'what has come is being checked and written'
  const who = asked.map(({ peer, ageMs }) => `${name(peer)}, asked ${seconds(ageMs)} ago`).join(', and of ')
  const others = soonest(facts, 'headers') != null
  // as `HeaderPhase` has it
  const known = asked.every(({ peer }) => facts.sources.some((source) => source.peer === peer && source.rate > 0))
  const patience = known ? HEADERS_PATIENCE_MS : FIRST_PATIENCE_MS
  return `headers up to ${facts.claimed} are fetched and checked, of ${who}${others ? `; another peer is asked after ${seconds(patience)} without any` : ''}`
}

/** Who is asked next. */
function soonest({ sources }: Facts, action: 'headers' | 'blocks'): string | undefined {
  const next = sources
    .filter((source) => source.next?.action === action)
    .sort((a, b) => a.next!.inMs - b.next!.inMs || (a.peer < b.peer ? -1 : 1))[0]
  if (next == null) return undefined
  const { inMs } = next.next!
  const after = next.fails > 0 ? `, after ${next.fails} ${next.fails === 1 ? 'failure' : 'failures'}` : ''
  return `${name(next.peer)} is asked ${inMs > 0 ? `in ${seconds(inMs)}` : 'next'}${after}`
}

/** The end of a peer ID, where two of them differ. */
function name(peer: string): string {
  return peer.slice(-8)
}

/** 1234 -> 1.2 s, 12345 -> 12 s. */
function seconds(ms: number): string {
  return `${ms < 9_950 ? Math.round(ms / 100) / 10 : Math.round(ms / 1_000)} s`
}
