import type { Core } from './core.js'
import type { BaseHeader } from './rules.js'

/** What a chain must have: total work, and blocks. */
export interface Minimum {
  work: bigint
  /** Height of a checkpoint that it must reach; 0: none. */
  height: number
}

/** Blocks below the head from which a branch may come without having the head's work. Bitcoin Core: GetAntiDoSWorkThreshold. */
const NEAR_BLOCKS = 144n

/** What the rules demand of any chain: `minimumWork` and the last checkpoint. */
export function minimumOf<Header extends BaseHeader, Tx>({ terms }: Core<Header, Tx>): Minimum {
  return { work: terms.minimumWork, height: terms.checkpoints.last }
}

/**
 * What a chain of headers must have before any of it is worth keeping: what the rules demand, and almost as much work as the head, 144
 * blocks like it less. A checkpoint that the head chain has passed asks for nothing more.
 */
export function thresholdOf<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Minimum {
  const minimum = minimumOf(core)
  const { head } = core.tree
  const own = head.at.work - (core.before(head)?.at.work ?? 0n)
  const near = head.at.work - NEAR_BLOCKS * own
  return {
    work: near > minimum.work ? near : minimum.work,
    height: head.at.height < minimum.height ? minimum.height : 0
  }
}

export function reaches({ work, height }: Minimum, minimum: Minimum): boolean {
  return work >= minimum.work && height >= minimum.height
}
