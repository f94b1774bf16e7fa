import { bytes } from 'blockwire/chain'
import { ed25519, signed } from 'blockwire/ed25519'
import { coin, EASIEST } from 'blockwire/pow'

/** Bytes of a transaction, signed or not. */
export const TX_BYTES = 200

/** Whose keys sign, in turn. */
export const SENDERS = 64

const transfer = signed({ from: bytes(32), payload: bytes(TX_BYTES - 32 - 64) })

/**
 * The coin's headers without its ledger: what is measured is how transactions spread, not what they do. `unsigned` are plain bytes, `signed`
 * carry an Ed25519 signature over all that stands before it.
 *
 * @param {string} name Of a case.
 */
export function rulesOf(name) {
  const rules = coin({ network: `bench-${name}`, blockTime: 1_000, powLimit: EASIEST })
  const { checkTx: _, checkTxs: __, state: ___, pool: ____, ...headers } = rules
  const plain = { ...headers, genesis: { header: rules.genesis.header } }
  if (name === 'unsigned') {
    return {
      ...plain,
      tx: {
        canonical: true,
        encode: (/** @type {Uint8Array} */ tx) => tx,
        decode: (/** @type {Uint8Array} */ tx) => tx
      }
    }
  }
  return {
    ...plain,
    tx: transfer,
    /** @param {any} tx @param {Uint8Array} genesis */
    checkTx: (tx, genesis) => transfer.verify(tx, tx.from, genesis),
    /** @param {any[]} txs @param {Uint8Array} genesis @param {{ urgent: boolean }} options */
    checkTxs: (txs, genesis, options) => transfer.verifyMany(txs, ({ from }) => from, genesis, options)
  }
}

/**
 * `count` different transactions.
 *
 * @param {string} name Of a case.
 * @param {Uint8Array} genesis
 * @param {number} count
 */
export function transactions(name, genesis, count) {
  const senders = Array.from({ length: SENDERS }, (_, i) => ed25519.generate(new Uint8Array(32).fill(i + 1)))
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(name === 'unsigned' ? TX_BYTES : TX_BYTES - 96)
    for (let at = 0; at < bytes.length; at += 4)
      new DataView(bytes.buffer).setUint32(at, Math.imul(i + 1, 0x9e3779b1) + at)
    new DataView(bytes.buffer).setUint32(0, i)
    if (name === 'unsigned') return bytes
    const { publicKey, secretKey } = senders[i % SENDERS]
    return transfer.encode(transfer.sign({ from: publicKey, payload: bytes }, secretKey, genesis))
  })
}
