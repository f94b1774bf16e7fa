/** One that stands in the place of another, or wants to. */
export interface Rival {
  readonly fee: bigint
  /** Fee per byte. */
  readonly rate: number
  readonly own: boolean
}

/** How much more a replacement must pay, in percent (go-ethereum's `pricebump`). */
export const FEE_BUMP = 10
/** More than this are not replaced at once (BIP 125, rule 5). */
export const MAX_RIVALS = 100

/**
 * Why a newcomer does not replace those that are pooled in its place; undefined: it does. It must pay more per byte than each (BIP 125,
 * rule 6 of Bitcoin Core's policy), and `bump` percent more than all together, so that filling the network with ever new versions costs more
 * each time. What the operator of this node has sent only the operator replaces.
 */
export function whyNotReplace(newcomer: Rival, rivals: Rival[], bump: number): string | undefined {
  if (rivals.length > MAX_RIVALS) return `it stands in the place of ${rivals.length}, over ${MAX_RIVALS}`
  if (!newcomer.own && rivals.some(({ own }) => own)) return "it stands in the place of one of this node's own"
  const paid = rivals.reduce((sum, { fee }) => sum + fee, 0n)
  const wanted = leastFee(paid, bump)
  if (newcomer.fee < wanted) return `it pays ${newcomer.fee} where ${wanted} would replace what is pooled in its place`
  const best = rivals.reduce((most, { rate }) => Math.max(most, rate), 0)
  if (newcomer.rate <= best) return 'it pays no more per byte than what is pooled in its place'
  return undefined
}

/** `bump` percent over `paid`, rounded up, and at least 1 more. */
function leastFee(paid: bigint, bump: number): bigint {
  const bumped = (paid * BigInt(100 + bump) + 99n) / 100n
  return bumped > paid ? bumped : paid + 1n
}
