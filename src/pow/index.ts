/**
 * @packageDocumentation
 * A ready chain: proof of work by double SHA-256, difficulty that follows the hash rate, a ledger of signed transfers, and a miner in
 * worker threads. `coin()` gives the Rules, `miner()` what a producer needs. All but the miner's threads runs in browsers.
 *
 * ```ts
 * const rules = coin({ network: 'hello' })
 * const key = ed25519.generate()
 * const node = await createNode({ rules, produce: miner({ rules, to: key.publicKey, name: 'me' }) })
 * ```
 */

export { ed25519, type KeyPair } from '../ed25519/index.js'
export { bitsOfWork, toBits, toTarget, workOf } from './bits.js'
export { type CoinInit, type CoinRules, coin, draftHeader, EASIEST } from './coin.js'
export { type AsertInit, asert, type DifficultyInit, nextBits, type PowHeader } from './difficulty.js'
export { type CoinHeader, meets, mineHeader, sha256d } from './header.js'
export { type Account, account } from './ledger.js'
export { type Miner, type MinerInit, miner } from './miner.js'
export { type CoinTx, type Reward, type Transfer, type TransferInit, transfer } from './tx.js'
