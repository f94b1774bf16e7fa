import type { Ancestors } from '../chain/index.js'
import { toBits, toTarget } from './bits.js'

const RADIX = 65_536n

export interface AsertInit {
  /** Target of the reference block. */
  target: bigint
  /** Time of the last block less the time of the reference block's parent. */
  timeDelta: number
  /** Height of the last block less that of the reference block. */
  heightDelta: number
  /** In this much time too late the target doubles; in the same unit as the other times. */
  halfLife: number
  blockTime: number
  /** The easiest target. */
  limit: bigint
}

/**
 * Target of the next block by Bitcoin Cash's aserti3-2d, in integers only:
 * target × 2^((timeDelta − blockTime × (heightDelta + 1)) / halfLife), with 2^x as a cubic of 16 bits.
 * Spec: https://upgradespecs.bitcoincashnode.org/2020-11-15-asert/
 */
export function asert({ target, timeDelta, heightDelta, halfLife, blockTime, limit }: AsertInit): bigint {
  const late = BigInt(timeDelta) - BigInt(blockTime) * (BigInt(heightDelta) + 1n)
  const exponent = (late * RADIX) / BigInt(halfLife)
  const shifts = exponent >> 16n
  const fraction = exponent & 0xffffn
  const factor =
    RADIX +
    ((195_766_423_245_049n * fraction +
      971_821_376n * fraction * fraction +
      5_127n * fraction * fraction * fraction +
      (1n << 47n)) >>
      48n)
  // what a month does: never shift by more than there are bits
  if (shifts > 256n) return limit
  const next = shifts < 0n ? (target * factor) >> (16n - shifts) : ((target * factor) << shifts) >> 16n
  if (next === 0n) return 1n
  return next > limit ? limit : next
}

export interface DifficultyInit {
  /** In ms. */
  blockTime: number
  /** In ms. */
  halfLife: number
  /** Compact bits of the easiest target. */
  powLimit: number
}

/** What a header must have for its bits to be checked. */
export interface PowHeader {
  time: number
  bits: number
}

/**
 * The bits of the block after `ancestors.parent`: one asert step from the parent's bits by the time that the parent took,
 * time(h−1) − time(h−2). Blocks 1 and 2 have the bits of genesis: when genesis was made says nothing about hash rate.
 *
 * Because every step starts at the parent and stops at `powLimit`, no debt of time outlives a step that hits the limit, unlike with a
 * fixed anchor. With x = difficulty ÷ the difficulty that the hash rate deserves, dx/dt = (1 − x) ln 2 / halfLife: whatever x was,
 * blocks come at over 3/4 of the block time two half-lives later. A month-old genesis or a night's stop costs no more than that.
 */
export function nextBits(ancestors: Pick<Ancestors<PowHeader>, 'parent' | 'back'>, init: DifficultyInit): number {
  const { header, height } = ancestors.parent
  if (height < 2) return header.bits
  const before = ancestors.back(2)
  const target = toTarget(header.bits)
  const limit = toTarget(init.powLimit)
  if (before == null || target == null || limit == null) return init.powLimit
  const timeDelta = header.time - before.header.time
  return toBits(asert({ target, timeDelta, heightDelta: 0, halfLife: init.halfLife, blockTime: init.blockTime, limit }))
}
