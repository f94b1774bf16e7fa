import type { Check, ReadableState, StateDb, StateRules } from '../chain/index.js'
import { bytes, struct, u8, u64, type ValueOf } from '../chain/index.js'
import type { CoinHeader } from './header.js'
import type { CoinTx, Reward, Transfer } from './tx.js'

const MAX = (1n << 64n) - 1n

const accounts = struct({ balance: u64, seq: u64 })

/** What an address owns, and how many transfers it has made. */
export type Account = ValueOf<typeof accounts>

/** What the block at hand has seen. It stands in the state only while a block is applied: `end` removes it. */
const tallies = struct({ rewarded: u8, to: bytes(32), fees: u64 })
const TALLY = new Uint8Array([0x62])

/**
 * Accounts as a state: key 'a' ‖ address -> balance, seq. Zero accounts that were never used are not stored. Sums that would
 * pass 2^64 - 1 are refused.
 */
export function ledger(reward: bigint): StateRules<CoinHeader, CoinTx> {
  return {
    version: 1,
    applyTx(tx, ctx, db) {
      return tx.kind === 'reward' ? applyReward(tx, ctx.height, db) : applyTransfer(tx, db)
    },
    async end(_ctx, db) {
      const tally = await readTally(db)
      if (tally == null || tally.rewarded === 0) return { reject: 'no reward' }
      db.del(TALLY)
      const miner = await account(db, tally.to)
      const balance = miner.balance + reward + tally.fees
      if (balance > MAX) return { reject: "the miner's balance would pass 2^64 - 1" }
      if (balance > 0n) db.put(accountKey(tally.to), accounts.encode({ balance, seq: miner.seq }))
      return true
    },
    async admit(tx, db) {
      if (tx.kind === 'reward') return { reject: 'a reward comes with its block' }
      const { seq } = await account(db, tx.from)
      return tx.seq >= seq || { ignore: `seq ${tx.seq} is used, next is ${seq}` }
    },
    reads: (tx) => (tx.kind === 'reward' ? [accountKey(tx.to)] : [accountKey(tx.from), accountKey(tx.to)])
  }
}

/** The account of an address, e.g. at head: `account(chain.state, address)`. */
export async function account(state: ReadableState, address: Uint8Array): Promise<Account> {
  const stored = await state.get(accountKey(address))
  return stored == null ? { balance: 0n, seq: 0n } : accounts.decode(stored)
}

async function applyReward(tx: Reward, height: number, db: StateDb): Promise<Check> {
  if (tx.height !== height) return { reject: `reward of height ${tx.height} in block ${height}` }
  const tally = await readTally(db)
  if (tally != null)
    return { reject: tally.rewarded === 1 ? 'a second reward' : 'the reward is not the first transaction' }
  db.put(TALLY, tallies.encode({ rewarded: 1, to: tx.to, fees: 0n }))
  return true
}

async function applyTransfer(tx: Transfer, db: StateDb): Promise<Check> {
  const from = await account(db, tx.from)
  if (tx.seq !== from.seq) return { reject: `seq ${tx.seq}, next is ${from.seq}` }
  const cost = tx.amount + tx.fee
  if (cost > from.balance) return { reject: `${cost} to pay, ${from.balance} there` }
  // written before the receiver is read: they may be one
  db.put(accountKey(tx.from), accounts.encode({ balance: from.balance - cost, seq: from.seq + 1n }))
  const to = await account(db, tx.to)
  const balance = to.balance + tx.amount
  if (balance > MAX) return { reject: "the receiver's balance would pass 2^64 - 1" }
  db.put(accountKey(tx.to), accounts.encode({ balance, seq: to.seq }))
  const tally = (await readTally(db)) ?? { rewarded: 0, to: new Uint8Array(32), fees: 0n }
  if (tally.fees + tx.fee > MAX) return { reject: 'fees would pass 2^64 - 1' }
  db.put(TALLY, tallies.encode({ ...tally, fees: tally.fees + tx.fee }))
  return true
}

async function readTally(db: StateDb): Promise<ValueOf<typeof tallies> | undefined> {
  const stored = await db.get(TALLY)
  return stored == null ? undefined : tallies.decode(stored)
}

function accountKey(address: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + address.length)
  key[0] = 0x61
  key.set(address, 1)
  return key
}
