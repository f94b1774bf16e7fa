/** What is looked at of one that may have to go. */
export interface Evictable {
  readonly bytes: Uint8Array
}

export interface Newcomer {
  /** See `Rank.effective`. */
  effective: number
  /** Ours goes before others' that pay as much. */
  own: boolean
}

/** What must be freed; 0 or less: nothing. */
export interface Excess {
  txs: number
  bytes: number
}

/**
 * Which ones must go so that a newcomer fits: the worst, and only ones that are worse than it. Undefined where that does not do.
 *
 * @param ranked worst first, without those that may not go
 */
export function victimsFor<E extends Evictable>(
  ranked: Iterable<{ readonly effective: number; readonly entry: E }>,
  newcomer: Newcomer,
  excess: Excess
): E[] | undefined {
  let { txs, bytes } = excess
  const victims: E[] = []
  if (txs <= 0 && bytes <= 0) return victims
  for (const { effective, entry } of ranked) {
    if (newcomer.own ? effective > newcomer.effective : effective >= newcomer.effective) return undefined
    victims.push(entry)
    txs--
    bytes -= entry.bytes.length
    if (txs <= 0 && bytes <= 0) return victims
  }
  return undefined
}
