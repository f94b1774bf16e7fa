import type { PeerReport } from './peers/index.js'
import type { Role } from './status/index.js'
import type { SyncReport } from './sync/index.js'

/** Why a node does what it does: for people to read, fields may be added. */
export interface Explanation {
  /** Why it waits, what comes next, and when: a sentence. What an app's own rules said may stand in it as it was. */
  why: string
  peerId: string
  role: Role
  head: { height: number; hash: string }
  /** With a sentence of its own, and what each peer is asked for next. */
  sync: SyncReport
  /** Each with what happens next to it, and in how many ms. */
  peers: PeerReport[]
  /** Zeros in a light node, which has none. */
  pool: { transactions: number; bytes: number }
}

interface Facts {
  role: Role
  sync: Pick<SyncReport, 'state' | 'why'>
  peers: Pick<PeerReport, 'peer' | 'state' | 'address' | 'next' | 'error'>[]
  suspended: boolean
}

/** What sync says; while it has nobody to ask, what is done to find somebody. Pure. */
export function whyOf({ role, sync, peers, suspended }: Facts): string {
  const says = role === 'seed' ? 'a seed keeps no chain and introduces peers to each other' : sync.why
  const alone = role === 'seed' ? !peers.some(({ state }) => state === 'joined') : sync.state === 'no-peers'
  return alone ? `${says}; ${search(peers, suspended)}` : says
}

function search(peers: Facts['peers'], suspended: boolean): string {
  if (suspended) return 'peers are suspended until resume()'
  const dialling = peers.filter(({ state }) => state === 'dialling')
  if (dialling.length > 0) return `dialling ${places(dialling)}`
  const due = peers.filter(({ next }) => next?.action === 'dial').sort((a, b) => a.next!.inMs - b.next!.inMs)
  const [first] = due
  if (first != null) {
    const last = first.error == null ? '' : ` (${first.error})`
    const { inMs } = first.next!
    return `${places([first])} is dialled ${inMs > 0 ? `again in ${Math.ceil(inMs / 1_000)} s` : 'next'}${last}`
  }
  return peers.length > 0
    ? 'no known peer is to be dialled: waits for others to dial'
    : 'no peer is known: give seeds, or wait for others to dial'
}

/** Where the first is, and how many more there are. */
function places([first, ...others]: Facts['peers']): string {
  const { address, peer } = first!
  const place = address?.replace(/\/p2p\/\w+$/, '') ?? peer
  return others.length === 0 ? place : `${place} and ${others.length} more`
}
