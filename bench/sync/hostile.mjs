// Three nodes that serve badly, in one process so that they cost the others little: one never answers, one sends a megabyte a second,
// one sends other blocks than it tells of. Each has the whole chain and is a good peer in all else.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { createNode } from 'blockwire'
import { asked, role, tell } from '../child.mjs'
import { rulesOf } from './chain.mjs'
import { copyOf } from './store.mjs'

const SLOW_BYTES_PER_S = 1e6

/** @typedef {import('blockwire').Node<any, any>} Node */

const { config } = role()
const unanswered = Promise.withResolvers()
const rules = /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(config.kind))
/** @type {Record<string, Node>} */
const nodes = { silent: await node('silent'), liar: await node('liar') }
const slow = await throttled()
nodes.slow = slow.node
keepSilent(nodes.silent)
lie(nodes.liar)

await tell({
  addresses: Object.fromEntries(Object.entries(nodes).map(([name, { multiaddrs }]) => [name, multiaddrs])),
  ids: Object.fromEntries(Object.entries(nodes).map(([name, { peerId }]) => [name, peerId.toString()]))
})
await asked()
slow.close()
unanswered.resolve(undefined)
await Promise.all(Object.values(nodes).map((one) => one.stop()))
process.exit()

/** @param {string} name @param {{ listen?: string, announce?: string[] }} [where] */
async function node(name, where) {
  const dataDir = join(config.root, name)
  await copyOf(config.from, dataDir)
  return await createNode({ rules, dataDir, ...where })
}

/** Claims the chain, takes every request, and answers none. @param {Node} node */
function keepSilent({ chain }) {
  chain.headers = chain.blocks = async function* () {
    await unanswered.promise
    yield []
  }
  chain.block = async () => {
    await unanswered.promise
    return undefined
  }
}

/** Changes a byte of each block's last transaction. @param {Node} node */
function lie({ chain }) {
  const { block, blocks } = chain
  chain.block = async (hash) => {
    const bytes = await block.call(chain, hash)
    return bytes == null ? undefined : forged(bytes)
  }
  chain.blocks = async function* (from, to) {
    for await (const page of blocks.call(chain, from, to)) yield page.map(forged)
  }
}

/** @param {Uint8Array} bytes */
function forged(bytes) {
  const other = bytes.slice()
  other[other.length - 1] ^= 1
  return other
}

/** A node behind a slow line, whose end is the only address that it tells. */
async function throttled() {
  const behind = await freePort()
  const line = createServer((socket) => {
    const inner = connect(behind, '127.0.0.1')
    pipeline(socket, inner, () => {})
    pipeline(inner, atRate, socket, () => {})
  })
  line.listen(0, '127.0.0.1')
  await once(line, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (line.address())
  return {
    node: await node('slow', { listen: `/ip4/127.0.0.1/tcp/${behind}`, announce: [`/ip4/127.0.0.1/tcp/${port}`] }),
    close: () => line.close()
  }
}

/** @param {AsyncIterable<Buffer>} source */
async function* atRate(source) {
  let free = performance.now()
  for await (const bytes of source) {
    const now = performance.now()
    free = Math.max(free, now) + (bytes.length / SLOW_BYTES_PER_S) * 1_000
    yield bytes
    if (free - now > 1) await wait(free - now)
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}
