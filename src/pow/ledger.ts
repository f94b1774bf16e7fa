import type { Check, ReadableState, StateDb, StateRules } from '../chain/index.js'
import { bytes, struct, table, u8, u64, type ValueOf } from '../chain/index.js'
import type { CoinHeader } from './header.js'
import type { CoinTx, Reward, Transfer } from './tx.js'

const MAX = (1n << 64n) - 1n

const accountCodec = struct({ balance: u64, seq: u64 })

/** What an address owns, and how many transfers it has made. */
export type Account = ValueOf<typeof accountCodec>

const accounts = table('account', accountCodec, { balance: 0n, seq: 0n })

/** What the block at hand has seen. It stands in the state only while a block is applied: `end` removes it. */
const tallies = table('tally', struct({ rewarded: u8, to: bytes(32), fees: u64 }))
const TALLY = new Uint8Array()

/**
 * Accounts as a state: address -> balance, seq. Zero accounts that were never used are not stored. Sums that would
 * pass 2^64 - 1 are refused.
 */
export function ledger(reward: bigint): StateRules<CoinHeader, CoinTx> {
  return {
    version: 2,
    applyTx(tx, ctx, db) {
      return tx.kind === 'reward' ? applyReward(tx, ctx.height, db) : applyTransfer(tx, db)
    },
    async end(_ctx, db) {
      const tally = await tallies.get(db, TALLY)
      if (tally == null || tally.rewarded === 0) return { reject: 'no reward' }
      tallies.del(db, TALLY)
      const miner = await accounts.get(db, tally.to)
      const balance = miner.balance + reward + tally.fees
      if (balance > MAX) return { reject: "the miner's balance would pass 2^64 - 1" }
      if (balance > 0n) accounts.put(db, tally.to, { balance, seq: miner.seq })
      return true
    },
    async admit(tx, db) {
      if (tx.kind === 'reward') return { reject: 'a reward comes with its block' }
      const { seq } = await accounts.get(db, tx.from)
      return tx.seq >= seq || { ignore: `seq ${tx.seq} is used, next is ${seq}` }
    },
    reads: (tx) => (tx.kind === 'reward' ? [accounts.key(tx.to)] : [accounts.key(tx.from), accounts.key(tx.to)])
  }
}

/** The account of an address, e.g. at head: `account(chain.state, address)`. */
export function account(state: ReadableState, address: Uint8Array): Promise<Account> {
  return accounts.get(state, address)
}

async function applyReward(tx: Reward, height: number, db: StateDb): Promise<Check> {
  if (tx.height !== height) return { reject: `reward of height ${tx.height} in block ${height}` }
  const tally = await tallies.get(db, TALLY)
  if (tally != null)
    return { reject: tally.rewarded === 1 ? 'a second reward' : 'the reward is not the first transaction' }
  tallies.put(db, TALLY, { rewarded: 1, to: tx.to, fees: 0n })
  return true
}

async function applyTransfer(tx: Transfer, db: StateDb): Promise<Check> {
  const from = await accounts.get(db, tx.from)
  if (tx.seq !== from.seq) return { reject: `seq ${tx.seq}, next is ${from.seq}` }
  const cost = tx.amount + tx.fee
  if (cost > from.balance) return { reject: `${cost} to pay, ${from.balance} there` }
  // written before the receiver is read: they may be one
  accounts.put(db, tx.from, { balance: from.balance - cost, seq: from.seq + 1n })
  const to = await accounts.get(db, tx.to)
  const balance = to.balance + tx.amount
  if (balance > MAX) return { reject: "the receiver's balance would pass 2^64 - 1" }
  accounts.put(db, tx.to, { balance, seq: to.seq })
  const tally = (await tallies.get(db, TALLY)) ?? { rewarded: 0, to: new Uint8Array(32), fees: 0n }
  if (tally.fees + tx.fee > MAX) return { reject: 'fees would pass 2^64 - 1' }
  tallies.put(db, TALLY, { ...tally, fees: tally.fees + tx.fee })
  return true
}
