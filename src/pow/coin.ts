import type { Draft, Limits, Rules } from '../chain/index.js'
import { ConfigError } from '../errors.js'
import { bitsOfWork, toBits, toTarget, workOf } from './bits.js'
import { type DifficultyInit, nextBits } from './difficulty.js'
import { type CoinHeader, header, meets, sha256d, VERSION } from './header.js'
import { ledger } from './ledger.js'
import { type CoinTx, checkTx, tx } from './tx.js'

export interface CoinInit {
  /** `[a-z0-9-]{1,32}`. */
  network: string
  /** What the difficulty aims at, in ms. @default 10_000 */
  blockTime?: number
  /** New money per block, in the smallest unit, below 2^64. @default 5_000_000_000n */
  reward?: bigint
  /** In ms: blocks that come this much too late in all halve the difficulty. @default 32 × blockTime */
  halfLife?: number
  /**
   * Compact bits of the easiest target, also those of genesis and of blocks 1 and 2. `EASIEST` takes 2 hashes a block.
   * @default what takes a hundred hashes per ms of block time: the share of a slow thread
   */
  powLimit?: number
  /** Time of genesis, ms since 1970. @default 1_767_225_600_000 (2026-01-01) */
  genesisTime?: number
  limits?: Limits
}

/** Rules of a coin, with what a miner must know of them. */
export interface CoinRules extends Rules<CoinHeader, CoinTx> {
  readonly difficulty: DifficultyInit
}

/** Compact bits of the easiest target that there is: every second hash meets it. */
export const EASIEST = 0x207f_ffff

const MAX_U64 = (1n << 64n) - 1n

/**
 * A ready chain: proof of work by double SHA-256, difficulty by `nextBits`, a ledger of signed transfers. All options are part of
 * the genesis hash, so coins with different options never meet.
 *
 * - A block's first transaction, and no other, is a reward; its height is the block's, so no two have one ID. Reward and fees are the
 *   miner's to spend from the next block on.
 * - A transfer is signed over genesis hash ‖ its bytes without the signature, and its `seq` must be the number of transfers that
 *   its sender has made: it fits once, on one chain.
 *
 * @throws ConfigError naming the option
 */
export function coin(init: CoinInit): CoinRules {
  const blockTime = integer('blockTime', init.blockTime ?? 10_000, 1)
  const halfLife = integer('halfLife', init.halfLife ?? 32 * blockTime, 1)
  const genesisTime = integer('genesisTime', init.genesisTime ?? 1_767_225_600_000, 0)
  const reward = init.reward ?? 5_000_000_000n
  if (typeof reward !== 'bigint' || reward < 0n || reward > MAX_U64) {
    throw new ConfigError('reward', `${String(reward)} is not a bigint from 0 to 2^64 - 1`)
  }
  const powLimit = init.powLimit ?? bitsOfWork(100 * blockTime)
  const limit = toTarget(powLimit)
  if (limit == null || toBits(limit) !== powLimit) {
    throw new ConfigError(
      'powLimit',
      `0x${Number(powLimit).toString(16)} is not a target in compact bits, e.g. 0x1e0fffff`
    )
  }
  const difficulty: DifficultyInit = { blockTime, halfLife, powLimit }
  return {
    network: init.network,
    params: { blockTime, halfLife, reward: String(reward), powLimit: powLimit.toString(16) },
    genesis: { header: { version: VERSION, time: genesisTime, bits: powLimit, nonce: 0 } },
    header,
    tx,
    hash: sha256d,
    work: ({ bits }) => workOf(bits),
    checkHeader({ version, bits }, hash, ancestors) {
      if (version !== VERSION) return { reject: `version ${version}, not ${VERSION}` }
      const wanted = nextBits(ancestors, difficulty)
      if (bits !== wanted) return { reject: `bits 0x${bits.toString(16)}, not 0x${wanted.toString(16)}` }
      return meets(hash, bits) || { reject: 'too little work' }
    },
    checkTx,
    state: ledger(reward),
    pool: {
      order: (value) => (value.kind === 'reward' ? undefined : { sender: value.from, sequence: value.seq }),
      fee: (value) => (value.kind === 'reward' ? 0n : value.fee)
    },
    difficulty,
    ...(init.limits == null ? {} : { limits: init.limits })
  }
}

/** The header of a draft, but for the nonce. `time` is the clock's, in ms; where the chain's median is later, that counts. */
export function draftHeader(rules: CoinRules, draft: Draft<CoinHeader, CoinTx>, time: number): CoinHeader {
  return {
    version: VERSION,
    parent: draft.parent.hash,
    root: draft.root,
    time: Math.max(time, draft.minTime),
    bits: nextBits(draft.ancestors, rules.difficulty),
    nonce: 0
  }
}

function integer(option: string, value: number, min: number): number {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new ConfigError(option, `${String(value)} is not an integer of at least ${min}`)
  }
  return value
}
