/** A chain of one's own: validators sign in turns, accounts pay each other. Run it: `npm run example -- authority`. */
import { createNode } from 'blockwire'
import { type Ancestors, bytes, type Rules, struct, table, toHex, u8, u53, u64, type ValueOf } from 'blockwire/chain'
import { type KeyPair, signed } from 'blockwire/ed25519'

const SLOT = 500 // ms
export const header = signed({ parent: bytes(32), root: bytes(32), time: u53, signer: u8 })
export const transfer = signed({ from: bytes(32), to: bytes(32), amount: u64, seq: u53 })
export const accounts = table('account', struct({ balance: u64, seq: u53 }), { balance: 0n, seq: 0 })
type Header = ValueOf<typeof header>
type Transfer = ValueOf<typeof transfer>

/** The turn goes round: who follows the last signer waits one slot, the next one two. Who signed lately must wait. */
function dueTime(signer: number, validators: number, ancestors: Ancestors<Header>): number {
  if (ancestors.last(validators / 2).some((block) => block.header.signer === signer)) return Number.POSITIVE_INFINITY
  const last = ancestors.parent.header
  return last.time + SLOT * ((signer - last.signer + validators) % validators || validators)
}

export function rules(validators: Uint8Array[], money: Map<Uint8Array, bigint>): Rules<Header, Transfer> {
  return {
    network: 'village',
    params: { slot: SLOT, validators: validators.map(toHex).join() },
    genesis: { header: { time: 0, signer: 0, signature: new Uint8Array(64) } },
    header,
    tx: transfer,
    tie: 'lowest-hash', // all agree whose turn it is, also when two have signed at once
    checkHeader(block, _hash, ancestors) {
      if (block.time < dueTime(block.signer, validators.length, ancestors)) return { reject: 'not its turn' }
      return header.verify(block, validators[block.signer])
    },
    checkTx: (tx, genesis) => transfer.verify(tx, tx.from, genesis),
    state: {
      genesis(db) {
        for (const [owner, balance] of money) accounts.put(db, owner, { balance, seq: 0 })
      },
      async applyTx({ from, to, amount, seq }, _ctx, db) {
        const payer = await accounts.get(db, from)
        if (payer.seq !== seq || payer.balance < amount) return { reject: `seq ${payer.seq}, balance ${payer.balance}` }
        accounts.put(db, from, { balance: payer.balance - amount, seq: seq + 1 })
        const payee = await accounts.get(db, to) // read after the payer is written: they may be one
        accounts.put(db, to, { ...payee, balance: payee.balance + amount })
        return true
      }
    }
  }
}

export function start(validators: Uint8Array[], money: Map<Uint8Array, bigint>, key: KeyPair, seeds: string[] = []) {
  const mine = validators.map(toHex).indexOf(toHex(key.publicKey))
  return createNode({
    rules: rules(validators, money),
    seeds,
    produce: {
      autoStart: mine >= 0, // others follow
      when: (_parent, ancestors) => dueTime(mine, validators.length, ancestors),
      seal: (draft) => ({ header: header.sign({ ...draft.header, signer: mine }, key.secretKey) })
    }
  })
}
