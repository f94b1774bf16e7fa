// The initial download of bcoin, a whole Bitcoin node: two of them on the regtest network, each with its chain and coins in LevelDB,
// all consensus rules checked. A block has one transaction, its coinbase, with as many outputs without a value as fill it.
// A process of its own for each side, as with the others.
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { asked, role, spent, tell } from '../../child.mjs'

const require = createRequire(import.meta.url)
// Native parts of that age do not build any more. Murmur, for the filter of known addresses and transactions, has its own way to ask
// for JavaScript; hashes then come from Node's crypto.
process.env.NODE_BACKEND = 'js'
require('mrmr')
process.env.NODE_BACKEND = 'node'
const { Block, Chain, Input, Network, Output, Pool, Script, TX } = require('bcoin')

const network = Network.get('regtest')
/** Of an output's script, near the most that Bitcoin takes: many small ones cost bcoin several times as much. */
const SCRIPT_BYTES = 9_900
/** Of a block without its outputs: header, count, and a coinbase; then of an output without the data of its script. */
const BLOCK_BYTES = 80 + 1 + 62
const OUTPUT_BYTES = 13

/** @param {number} height @param {number} bytes Of the block, nearly. */
function coinbase(height, bytes) {
  const tx = new TX()
  const input = new Input()
  const tag = Buffer.alloc(8)
  tag.writeUInt32LE(height, 0)
  input.script = Script.fromRaw(Buffer.concat([Buffer.from([tag.length]), tag]))
  tx.inputs.push(input)
  for (let left = Math.max(1, bytes - BLOCK_BYTES); left > 0; left -= SCRIPT_BYTES) {
    const data = Buffer.alloc(Math.max(1, Math.min(SCRIPT_BYTES, left) - OUTPUT_BYTES), height & 0xff)
    // OP_RETURN OP_PUSHDATA2
    const head = Buffer.from([0x6a, 0x4d, data.length & 0xff, data.length >> 8])
    tx.outputs.push(Output.fromOptions({ value: 0, script: Script.fromRaw(Buffer.concat([head, data])) }))
  }
  tx.refresh()
  return tx
}

/** @param {{ hash: string, height: number, time: number, bits: number }} parent @param {number} bytes */
function mined(parent, bytes) {
  const block = new Block()
  block.version = 0x20000000
  block.prevBlock = parent.hash
  // as far apart as Bitcoin's, so all long ago: a chain that ends now would count as synced before its last block is there
  block.time = parent.time + network.pow.targetSpacing
  block.bits = network.pow.bits
  block.txs.push(coinbase(parent.height + 1, bytes))
  block.merkleRoot = block.createMerkleRoot('hex')
  for (block.refresh(); !block.verifyPOW(); block.refresh()) block.nonce++
  return block
}

/** @param {string} dir */
async function open(dir) {
  await mkdir(dir, { recursive: true })
  const chain = new Chain({ network, memory: false, prefix: dir })
  await chain.open()
  return chain
}

/** It wants to know its port before it listens. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

const { role: part, config } = role()
const chain = await open(config.dir)

if (part === 'make') {
  let size = 0
  for (let height = 1; height <= config.blocks; height++) {
    const block = mined(chain.tip, config.bytes)
    if ((await chain.add(block)) == null) throw new Error(`bcoin refuses block ${height}`)
    size = block.getSize()
  }
  await tell({ head: chain.tip.hash, bytes: size })
  await asked()
} else if (part === 'server') {
  const port = await freePort()
  const pool = new Pool({ chain, listen: true, host: '127.0.0.1', port, seeds: [], compact: false })
  await pool.open()
  await pool.connect()
  const begin = process.cpuUsage()
  await tell({ port })
  await asked()
  await tell(spent(begin))
  await asked()
} else {
  // what it needs to count as not synced, so that it does what a node does that was away
  network.block.maxTipAge = 24 * 60 * 60
  chain.synced = false
  const pool = new Pool({ chain, only: [`127.0.0.1:${config.port}`], seeds: [], compact: false })
  pool.on('error', (/** @type {Error} */ err) => console.error(err))
  const done = new Promise((resolve) => {
    chain.on('connect', ({ height }) => height === config.blocks && resolve(undefined))
  })
  await pool.open()
  await pool.connect()
  // it asks for the first hashes in the same turn
  const joined = once(pool, 'peer open')
  pool.startSync()
  await joined
  const begin = process.cpuUsage()
  const from = performance.now()
  await done
  await tell({ seconds: (performance.now() - from) / 1_000, head: chain.tip.hash, ...spent(begin) })
}
process.exit()
