import { encodeBlock, merkleRoot, opaque, txId } from 'blockwire/chain'
import { coin, EASIEST, mineHeader, sha256d } from 'blockwire/pow'

const BLOCK_MS = 1_000
/** Ours, so that the chains of all runs are one. */
const MINER = new Uint8Array(32).fill(7)

/**
 * What the blocks of a case are like. All have the coin's headers: double SHA-256, proof of work (two hashes a block on average),
 * difficulty. `300B` and `100KB` carry transactions of plain bytes, so that sync is measured and not a ledger; of `headers` only the
 * headers are fetched; `coin` is the whole coin: a reward a block, with its state.
 *
 * @typedef {object} Kind
 * @property {number} blocks
 * @property {number} quick Blocks with --quick.
 * @property {Record<string, number>} peers Who it is compared with besides the limit, and how many blocks each of them fetches; with
 *   --quick a tenth.
 * @property {number} txs A block.
 * @property {number} txBytes
 */

/** @type {Record<string, Kind>} */
export const KINDS = {
  '300B': {
    blocks: 300_000,
    quick: 1_500,
    peers: { hypercore: 50_000, bcoin: 5_000, naive: 1_500 },
    txs: 1,
    txBytes: 213
  },
  '100KB': { blocks: 1_000, quick: 30, peers: { hypercore: 1_000, bcoin: 500, naive: 500 }, txs: 400, txBytes: 250 },
  headers: { blocks: 300_000, quick: 3_000, peers: { naive: 1_500 }, txs: 0, txBytes: 0 },
  coin: { blocks: 50_000, quick: 1_500, peers: { naive: 1_500 }, txs: 1, txBytes: 0 }
}

/** @param {string} name Of a case. */
export function rulesOf(name) {
  const rules = coin({ network: `bench-${name.toLowerCase()}`, blockTime: BLOCK_MS, powLimit: EASIEST })
  if (name === 'coin') return rules
  const { checkTx: _, checkTxs: __, state: ___, ...headers } = rules
  /** @type {import('blockwire/chain').Rules<import('blockwire/pow').CoinHeader, Uint8Array>} */
  const plain = {
    ...headers,
    genesis: { header: rules.genesis.header },
    tx: opaque
  }
  return plain
}

/**
 * Blocks 1 to `count` on a genesis, each mined.
 *
 * @param {string} name Of a case.
 * @param {import('blockwire/chain').Located<import('blockwire/pow').CoinHeader>} genesis
 * @param {number} count
 */
export function* mined(name, genesis, count) {
  const rules = rulesOf(name)
  let parent = genesis.hash
  for (let height = 1; height <= count; height++) {
    const txs = transactions(name, height)
    // a second after the other, as the difficulty wants it: it stays at its easiest
    const time = genesis.header.time + height * BLOCK_MS
    const root = merkleRoot(txs.map(txId))
    const header = rules.header.encode(
      mineHeader({ version: genesis.header.version, parent, root, time, bits: EASIEST, nonce: 0 })
    )
    yield encodeBlock(header, txs)
    parent = sha256d(header)
  }
}

/** @param {string} name @param {number} height @returns {Uint8Array[]} */
function transactions(name, height) {
  const { txs, txBytes } = KINDS[name]
  if (name === 'coin') {
    return [coin({ network: 'bench' }).tx.encode({ kind: 'reward', height, to: MINER, name: 'bench', extraNonce: 0 })]
  }
  return Array.from({ length: txs }, (_, i) => {
    const tx = new Uint8Array(txBytes).fill(height)
    const view = new DataView(tx.buffer)
    view.setUint32(0, height)
    view.setUint32(4, i)
    return tx
  })
}
