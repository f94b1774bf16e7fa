// A network in one process, over TCP on loopback: nodes as an app makes them, or bare hosts. Tells { bytes, time, block } and ends.
import { createHash } from 'node:crypto'
import { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createNode } from 'blockwire'
import { bytes, encodeBlock, merkleRoot, struct, txId, u32, u53 } from 'blockwire/chain'
import { until } from 'blockwire/testing'
import { role, tell } from '../child.mjs'
import { host, TOPICS } from '../peers/host.mjs'
import { median } from '../report.mjs'

const { role: part, config } = role()
const LISTEN = '/ip4/127.0.0.1/tcp/0'
/** Each node dials so many of those after it in a ring: six neighbours, at most two hops apart. */
const DIALS = 3
/** Before and after a block: what goes on beside it is over, or still counts. */
const PAUSE_MS = 1_500
const READY_MS = 60_000
const SPREAD_MS = 30_000
/** Of a limit that has what it lacks from who told it: one stream, one block. */
const FETCH = '/bench/block/1'

/** What all sockets of this process were given to send: below encryption and muxer. */
let sent = 0
const { write } = Socket.prototype
Socket.prototype.write = function (/** @type {any} */ data, /** @type {any[]} */ ...rest) {
  sent += data.byteLength
  return write.call(this, data, .../** @type {[]} */ (rest))
}

const header = struct({ parent: bytes(32), root: bytes(32), time: u53, nonce: u32 })
const rules = {
  network: 'bench-blocks',
  genesis: { header: { time: 1_700_000_000_000, nonce: 0 } },
  header,
  tx: { encode: (/** @type {Uint8Array} */ tx) => tx, decode: (/** @type {Uint8Array} */ tx) => tx, canonical: true }
}
/** Header, nonce and what tells the form of a message, beside six bytes a transaction. */
const COMPACT_BYTES = 100 + 6 * config.txs

/** One that nobody has seen before. @param {string} name */
function noise(name, length = config.txBytes) {
  const parts = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256').update(`${name} ${i}`).digest()
  )
  return new Uint8Array(Buffer.concat(parts).subarray(0, length))
}

/** @param {import('libp2p').Libp2p[]} hosts */
async function ring(hosts) {
  for (const [i, one] of hosts.entries()) {
    for (let step = 1; step <= DIALS; step++) {
      const other = hosts[(i + step) % hosts.length]
      if (other !== one && one.getConnections(other.peerId).length === 0) await one.dial(other.getMultiaddrs())
    }
  }
}

/**
 * Has one block after the other spread, each by another node.
 *
 * @param {(n: number) => Promise<{ block: number, publish(): void, arrived: Promise<unknown>, settled?(): Promise<unknown> }>} next
 */
async function measure(next) {
  const samples = []
  let size = 0
  // the first one compiles what the others need
  for (let n = 0; n <= config.blocks; n++) {
    const { block, publish, arrived, settled } = await next(n)
    await pause(PAUSE_MS)
    const before = sent
    const begin = performance.now()
    publish()
    await arrived
    const time = performance.now() - begin
    await settled?.()
    await pause(PAUSE_MS)
    size = block
    if (n > 0) samples.push({ time, bytes: (sent - before) / config.nodes })
  }
  const of = (/** @type {'time' | 'bytes'} */ metric) => median(samples.map((sample) => sample[metric]))
  await tell({ bytes: of('bytes'), time: of('time'), block: size })
}

/** Resolves once `count` calls of `one` have come. @param {number} count */
function counted(count) {
  const { promise, resolve, reject } = Promise.withResolvers()
  const timer = setTimeout(() => reject(new Error(`${count} nodes have not got a block in ${SPREAD_MS} ms`)), SPREAD_MS)
  promise.finally(() => clearTimeout(timer)).catch(() => {})
  return { promise, one: () => --count === 0 && resolve(undefined) }
}

async function nodes() {
  const all = await Promise.all(
    Array.from({ length: config.nodes }, () => createNode({ rules, listen: LISTEN, peers: { target: 0 } }))
  )
  await ring(all.map(({ libp2p }) => libp2p))
  const least = Math.min(4, config.nodes - 1)
  const ready = ({ gossip, sync }) =>
    sync.state === 'live' && gossip.links().filter(({ mesh }) => mesh.length === 2).length >= least
  await until('all meshes', () => all.every(ready), READY_MS)
  let arrived = () => {}
  /** @type {Promise<unknown>} */
  let spread = Promise.resolve()
  /** Those that have the block already. */
  const done = new Set()
  for (const { chain } of all) {
    // By gossip, or by sync where that was slow. It is whole then, its root is checked, and it is passed on: what a chain does with it keeps no
    // other node waiting where each has a machine.
    for (const way of /** @type {const} */ (['add', 'addBlocks'])) {
      const add = chain[way].bind(chain)
      chain[way] = async (/** @type {any} */ given, /** @type {any} */ options) => {
        if (!done.has(chain)) arrived()
        done.add(chain)
        await spread
        return add(given, options)
      }
    }
  }
  await measure(async (n) => {
    const txs = Array.from({ length: config.txs }, (_, i) => noise(`${n} ${i}`))
    if (config.pooled) {
      for (const [i, node] of all.entries()) await fill(node, all[(i + 1) % all.length].peerId, txs)
    }
    const producer = all[n % all.length]
    const { hash, header: last } = producer.chain.head
    const fields = { parent: hash, root: merkleRoot(txs.map(txId)), time: last.time + 1_000, nonce: n }
    const block = encodeBlock(header.encode(fields), txs)
    const { promise, one } = counted(all.length - 1)
    done.clear()
    done.add(producer.chain)
    arrived = one
    spread = promise
    // it tells its head when it has it: where all is slow, others would begin to fetch it beside gossip
    const added = producer.chain.add(block)
    return {
      block: block.length,
      arrived: promise,
      publish: () => producer.blocks.publish(block),
      settled: () => added
    }
  })
  await Promise.all(all.map((node) => node.stop()))
}

/**
 * As if another node had handed them over: our own would be told again each minute.
 *
 * @param {import('blockwire').Node} node @param {import('@libp2p/interface').PeerId} source @param {Uint8Array[]} txs
 */
async function fill({ pool }, source, txs) {
  await pool.add(txs, { source, quiet: true })
  if (pool.size < txs.length) throw new Error(`${pool.size} of ${txs.length} transactions are pooled`)
}

/** Asks for a block and reads it. @param {import('@libp2p/interface').Stream} stream */
async function whole(stream) {
  // what comes while nobody reads is lost with its end
  const read = (async () => {
    for await (const _ of stream);
  })()
  stream.send(Uint8Array.of(1))
  await Promise.all([read, stream.close()])
}

/**
 * Bare hosts: a message of `size` goes to all, and is forwarded unseen. `fetch`: each then has a block from who handed it the message.
 *
 * @param {number} size @param {boolean} fetch
 */
async function hosts(size, fetch) {
  const all = await Promise.all(Array.from({ length: config.nodes }, () => host(LISTEN)))
  const length = config.txs * (config.txBytes + 2)
  const block = noise('block', length)
  let one = () => {}
  for (const { services, handle, dialProtocol } of all.map((node) => ({
    services: node.services,
    handle: node.handle.bind(node),
    dialProtocol: node.dialProtocol.bind(node)
  }))) {
    await handle(FETCH, async (stream) => {
      for (let at = 0; at < block.length; at += 65_536) {
        if (!stream.send(block.subarray(at, at + 65_536)))
          await new Promise((go) => stream.addEventListener('drain', go, { once: true }))
      }
      await stream.close()
    })
    const { gossip } = services
    gossip.addEventListener('gossipsub:message', async ({ detail }) => {
      const { msgId, propagationSource } = detail
      gossip.reportMessageValidationResult(msgId, propagationSource.toString(), 'accept')
      if (fetch) await whole(await dialProtocol(propagationSource, FETCH))
      one()
    })
  }
  await ring(all)
  const least = Math.min(4, config.nodes - 1)
  const ready = ({ services }) => TOPICS.every((topic) => services.gossip.getMeshPeers(topic).length >= least)
  await until('all meshes', () => all.every(ready), READY_MS)
  await measure(async (n) => {
    const counter = counted(all.length - 1)
    one = counter.one
    const message = noise(`message ${n}`, size)
    const publish = () => all[n % all.length].services.gossip.publish(TOPICS[0], message)
    return { block: size, arrived: counter.promise, publish }
  })
  await Promise.all(all.map((node) => node.stop()))
}

if (part === 'blockwire') await nodes()
else if (part === 'limit') await hosts(COMPACT_BYTES, !config.pooled)
else await hosts(config.txs * (config.txBytes + 2) + 80, false)
process.disconnect?.()
