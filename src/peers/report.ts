import type { AddressBook } from './book.js'
import type { JoinedPeer, PeerReport } from './index.js'
import type { Judge } from './judge.js'
import type { Liveness } from './liveness.js'
import type { Planner } from './planner.js'
import type { Turnover } from './turnover.js'

/** From what a report is made; each part says what it owns. */
export interface ReportInit {
  members: ReadonlyMap<string, JoinedPeer>
  book: AddressBook
  planner: Planner
  judge: Judge
  liveness: Liveness
  turnover: Turnover
  isWelcome(id: string): boolean
  score(id: string): number
  /** Why we part from it, if we do. */
  reasonOf(id: string): string | undefined
}

/** Everything known of every peer at `now`, joined ones first. */
export function report(init: ReportInit, now: number): PeerReport[] {
  const { members, book, planner, judge } = init
  const banned = judge.bans.list(now).filter(({ kind }) => kind === 'peer')
  const ids = new Set([
    ...members.keys(),
    ...planner.linked,
    ...planner.dialling,
    ...book.entries.keys(),
    ...banned.map(({ what }) => what)
  ])
  return [...ids].map((id) => reportOf(id, init, now))
}

function reportOf(id: string, init: ReportInit, now: number): PeerReport {
  const { members, book, planner, judge, liveness, turnover, score, reasonOf } = init
  const entry = book.get(id)
  const member = members.get(id)
  const out: PeerReport = { peer: id, state: stateOf(id, init, now), seed: entry?.seed ?? false }
  const direction = member?.direction ?? planner.directionOf(id)
  if (direction != null) out.direction = direction
  if (member != null) {
    out.score = score(id)
    out.useful = Math.round(turnover.pointsOf(id) * 10) / 10
    if (member.role != null) out.role = member.role
    const rttMs = liveness.rttOf(id)
    if (rttMs != null) out.rttMs = rttMs
  }
  if (entry != null) {
    out.address = entry.addresses[0]
    out.table = entry.seed ? 'seed' : book.isTried(id) ? 'tried' : 'new'
    if (entry.failures > 0) out.failures = entry.failures
  }
  const fault = judge.ledger.last(id)
  if (fault != null) out.fault = fault
  const error = reasonOf(id) ?? entry?.error
  if (error != null) out.error = error
  const next = nextOf(id, out.state, init, now)
  if (next != null) out.next = next
  return out
}

function stateOf(
  id: string,
  { members, planner, judge, isWelcome, reasonOf }: ReportInit,
  now: number
): PeerReport['state'] {
  if (judge.bans.peer(id, now) != null) return 'banned'
  if (reasonOf(id) != null) return 'leaving'
  if (members.has(id)) return 'joined'
  if (planner.isLinked(id)) return 'connected'
  if (planner.isDialling(id)) return 'dialling'
  return isWelcome(id) ? 'waiting' : 'refused'
}

function nextOf(id: string, state: PeerReport['state'], init: ReportInit, now: number): PeerReport['next'] {
  const inMs = (at: number): number => Math.max(0, Math.round(at - now))
  const { book, planner, judge, liveness } = init
  const ban = judge.bans.peer(id, now)
  if (ban != null) return Number.isFinite(ban.until) ? { action: 'lift ban', inMs: inMs(ban.until) } : undefined
  const ping = liveness.nextAt(id)
  if (state === 'joined') return ping == null ? undefined : { action: 'ping', inMs: inMs(ping) }
  const dial = planner.dueAt(id)
  const isSpare = planner.satisfied && book.get(id)?.seed !== true
  return state === 'waiting' && dial != null && !isSpare ? { action: 'dial', inMs: inMs(dial) } : undefined
}
