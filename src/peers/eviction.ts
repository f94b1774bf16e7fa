/** An inbound peer that may have to make room. */
export interface Guest {
  id: string
  /** Addresses that are likely in one hand. */
  group: string
  /** When it joined. */
  since: number
  /** Its best round trip; undefined while none was measured. */
  rttMs: number | undefined
  /** How much that was new came from it lately. */
  useful: number
}

/** Whose turn comes within this time after joining stays, and a newcomer of its kind goes: it is to have the time to ask for other peers. */
export const SETTLING_MS = 5000
/** The part of the guests that each kind of merit protects. Bitcoin Core protects 4 to 8 of about 114 by each of five. */
const SHARE = 8

/**
 * Whom to send away so that a newcomer gets in, after Bitcoin Core's src/node/eviction.cpp. An attacker would have to be spread over
 * the networks, near, useful or of long standing to push everyone out, and cannot be all at once: an eighth of the guests each are
 * safe for the network that they come from, for their round trip and for what they brought, then half of the rest for having been here
 * longest. Of those left the youngest goes, from the group that has most. Undefined when nobody may go.
 *
 * `rank` orders the groups in a way that nobody outside can foresee; `newcomer` is the group of who is to get in.
 */
export function evictee(
  guests: readonly Guest[],
  now: number,
  rank: (group: string) => number,
  newcomer: string
): string | undefined {
  const share = Math.floor(guests.length / SHARE)
  let left = spare(guests, onePerGroup(guests, rank).slice(0, share))
  left = spare(
    left,
    best(left, share, ({ rttMs }) => (rttMs == null ? undefined : -rttMs))
  )
  left = spare(
    left,
    best(left, share, ({ useful }) => (useful > 0 ? useful : undefined))
  )
  left = spare(
    left,
    best(left, Math.floor(left.length / 2), ({ since }) => -since)
  )
  const groups = Map.groupBy(left, ({ group }) => group)
  const youngest = (members: readonly Guest[]): number => Math.max(...members.map(({ since }) => since))
  const [crowd] = [...groups.values()].sort((a, b) => b.length - a.length || youngest(b) - youngest(a))
  const choice = crowd?.reduce((young, guest) => (guest.since > young.since ? guest : young))
  if (choice == null || now - choice.since >= SETTLING_MS) return choice?.id
  // nobody else goes in its place: who comes fast enough would push everyone out. It goes itself for somebody of a rarer group: otherwise
  // one who comes again and again would keep everyone out
  const sizeOf = (group: string): number => guests.filter((guest) => guest.group === group).length
  return sizeOf(newcomer) < sizeOf(choice.group) ? choice.id : undefined
}

/** The longest-standing of each group, groups in the secret order. */
function onePerGroup(guests: readonly Guest[], rank: (group: string) => number): Guest[] {
  const groups = [...Map.groupBy(guests, ({ group }) => group)].sort(([a], [b]) => rank(a) - rank(b))
  return groups.map(([, members]) => members.reduce((old, guest) => (guest.since < old.since ? guest : old)))
}

/** The `count` with the highest merit; none of those without any. */
function best(guests: readonly Guest[], count: number, merit: (guest: Guest) => number | undefined): Guest[] {
  return guests
    .filter((guest) => merit(guest) != null)
    .sort((a, b) => (merit(b) ?? 0) - (merit(a) ?? 0))
    .slice(0, count)
}

function spare(guests: readonly Guest[], safe: readonly Guest[]): Guest[] {
  return guests.filter((guest) => !safe.includes(guest))
}
