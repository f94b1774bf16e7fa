import type { AddressBook } from './book.js'
import type { Ledger } from './faults.js'
import type { JoinedPeer, PeerReport } from './index.js'
import type { Liveness } from './liveness.js'
import type { Planner } from './planner.js'

/** Everything known of every peer at `now`, joined ones first. */
export function report(
  joined: ReadonlyMap<string, JoinedPeer>,
  book: AddressBook,
  planner: Planner,
  ledger: Ledger,
  liveness: Liveness,
  isWelcome: (id: string) => boolean,
  now: number
): PeerReport[] {
  const ids = new Set([...joined.keys(), ...planner.linked, ...book.entries.keys(), ...ledger.bans.keys()])
  return [...ids].map((id) => {
    const entry = book.get(id)
    const member = joined.get(id)
    const banned = ledger.bannedUntil(id, now)
    const out: PeerReport = { peer: id, state: stateOf(id), seed: entry?.seed ?? false }
    const direction = member?.direction ?? planner.directionOf(id)
    if (direction != null) out.direction = direction
    if (member?.role != null) out.role = member.role
    const fault = ledger.last(id)
    if (fault != null) out.fault = fault
    if (entry?.error != null) out.error = entry.error
    const ping = liveness.nextAt(id)
    const dial = planner.dueAt(id)
    if (banned != null) out.next = { action: 'lift ban', inMs: banned - now }
    else if (member != null && ping != null) out.next = { action: 'ping', inMs: Math.max(0, ping - now) }
    else if (dial != null && out.state === 'waiting')
      out.next = { action: 'dial', inMs: Math.max(0, Math.round(dial - now)) }
    return out

    function stateOf(id: string): PeerReport['state'] {
      if (banned != null) return 'banned'
      if (member != null) return 'joined'
      if (planner.isLinked(id)) return 'connected'
      if (planner.isDialling(id)) return 'dialling'
      return isWelcome(id) ? 'waiting' : 'refused'
    }
  })
}
