import type { ProducerInit } from 'blockwire/chain'
import type { TestHeader, TestTx } from 'blockwire/testing'

export interface SealInit {
  /** What tells one producer's blocks from another's. */
  nonce: number
  /** Asked before each block: false gives up on this parent. */
  allow?(height: number): boolean
  autoStart?: boolean
}

/** Seals a block of the test chain at once, without any work. */
export function testSeal({ nonce, allow, autoStart = true }: SealInit): ProducerInit<TestHeader, TestTx> {
  return {
    autoStart,
    aloneMs: 0,
    seal(draft) {
      if (allow?.(draft.height) === false) return undefined
      const time = Math.max(draft.minTime, Date.now())
      return { header: { parent: draft.parent.hash, root: draft.root, time, nonce, weight: 1, bad: 0 } }
    }
  }
}
