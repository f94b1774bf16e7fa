import type { Check } from '../chain/index.js'
import { bytes, struct, text, u32, u53, u64, union, type ValueOf } from '../chain/index.js'
import { ed25519, type KeyPair } from '../ed25519/index.js'

/** Money is counted in the smallest unit; addresses are Ed25519 public keys. */
export const tx = union({
  /** Pays the miner. `extraNonce` gives another root when all nonces are used up; `name` is shown to people. */
  reward: [0, struct({ height: u53, to: bytes(32), name: text(32), extraNonce: u32 })],
  /** Pays `amount` to another, `fee` to the miner. */
  transfer: [1, struct({ from: bytes(32), to: bytes(32), amount: u64, fee: u64, seq: u64, signature: bytes(64) })]
})

export type CoinTx = ValueOf<typeof tx>
export type Reward = Extract<CoinTx, { kind: 'reward' }>
export type Transfer = Extract<CoinTx, { kind: 'transfer' }>

/** What steers a terminal, or turns text around. Listed, as the classes of Unicode differ by engine and rules may not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/

/** What can be known of a transaction without state. `genesis` is the genesis hash. */
export function checkTx(value: CoinTx, genesis: Uint8Array): Check {
  if (value.kind === 'reward') return UNSHOWABLE.test(value.name) ? { reject: 'name has control characters' } : true
  if (value.amount === 0n) return { reject: 'amount is 0' }
  return ed25519.verify(value.signature, signed(value, genesis), value.from) || { reject: 'wrong signature' }
}

/** Is this a name that a miner may carry: at most 32 bytes of UTF-8, no control characters? */
export function isName(name: string): boolean {
  return !UNSHOWABLE.test(name) && !/\p{Surrogate}/u.test(name) && new TextEncoder().encode(name).length <= 32
}

export interface TransferInit {
  /** The sender's. */
  key: KeyPair
  /** Address, 32 bytes. */
  to: Uint8Array
  /** At least 1. */
  amount: bigint
  /** What pays more per byte is mined first. @default 0n */
  fee?: bigint
  /** How many transfers the sender has made before: `account(...).seq`. */
  seq: bigint
}

/** A signed transfer. `genesis` is the genesis hash, `chain.genesis.hash`. */
export function transfer(genesis: Uint8Array, { key, to, amount, fee = 0n, seq }: TransferInit): Transfer {
  const blank: Transfer = { kind: 'transfer', from: key.publicKey, to, amount, fee, seq, signature: new Uint8Array(64) }
  return { ...blank, signature: ed25519.sign(signed(blank, genesis), key.secretKey) }
}

/** genesis hash ‖ the transfer's bytes without the signature, which stands last. */
function signed(value: Transfer, genesis: Uint8Array): Uint8Array {
  const encoded = tx.encode(value)
  const message = new Uint8Array(genesis.length + encoded.length - 64)
  message.set(genesis)
  message.set(encoded.subarray(0, -64), genesis.length)
  return message
}
