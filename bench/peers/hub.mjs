// The one whose memory is measured, started with --expose-gc: a node as an app makes it, or a bare host. Its peers are in other
// processes.
import { setTimeout as pause } from 'node:timers/promises'
import { createNode } from 'blockwire'
import { testRules } from 'blockwire/testing'
import { asked, role, tell } from '../child.mjs'
import { host } from './host.mjs'
import { complete } from './wait.mjs'

/** Collections in a row, of which the least is taken: the first ones find what is just being done with. */
const LOOKS = 4
const LOOK_MS = 250
const LISTEN = '/ip4/127.0.0.1/tcp/0'

const { role: part, config } = role()
const { libp2p, pubsub, joined, stop } = await (part === 'blockwire' ? node() : bare())
await tell({ addresses: libp2p.getMultiaddrs().map(String) })
for (let [message] = await asked(); message?.peers != null; [message] = await asked()) {
  await complete(() => missing(message.peers), config.joinMs)
  await pause(message.idleMs)
  const least = await measure()
  const lost = missing(message.peers)
  if (lost !== '') throw new Error(`meanwhile not all stayed: ${lost}`)
  await tell(least)
}
await stop()

async function node() {
  const made = await createNode({ rules: testRules(), listen: LISTEN, peers: { maxInbound: config.maxPeers + 50 } })
  return {
    libp2p: made.libp2p,
    pubsub: made.gossip.pubsub,
    joined: () => made.peers.connected.size,
    stop: () => made.stop()
  }
}

async function bare() {
  const libp2p = await host(LISTEN)
  return {
    libp2p,
    pubsub: libp2p.services.gossip,
    joined: () => libp2p.getPeers().length,
    stop: () => libp2p.stop()
  }
}

/** @param {number} wanted */
function missing(wanted) {
  const connections = libp2p.getConnections().length
  const gossip = Math.min(...pubsub.getTopics().map((topic) => pubsub.getSubscribers(topic).length))
  if ([connections, joined(), gossip].every((count) => count === wanted)) return ''
  return `${wanted} peers wanted at the hub: ${connections} connections, ${joined()} joined, ${gossip} in all topics`
}

/** The least memory of a few looks, each after a collection that gives back what it can. */
async function measure() {
  if (globalThis.gc == null) throw new Error('the hub needs --expose-gc')
  const least = { rss: Number.POSITIVE_INFINITY, heap: Number.POSITIVE_INFINITY }
  for (let look = 0; look < LOOKS; look++) {
    // an ordinary one leaves the young generation at the size to which the handshakes have blown it up: 300 KB a peer and more
    globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    const { rss, heapUsed, external } = process.memoryUsage()
    least.rss = Math.min(least.rss, rss)
    least.heap = Math.min(least.heap, heapUsed + external)
    await pause(LOOK_MS)
  }
  return least
}
