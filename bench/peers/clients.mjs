// Idle peers of the hub, many in a process: each connects when the one before it has joined.
import { multiaddr } from '@multiformats/multiaddr'
import { createNode } from 'blockwire'
import { testRules } from 'blockwire/testing'
import { asked, role, tell } from '../child.mjs'
import { host } from './host.mjs'
import { complete } from './wait.mjs'

const { role: part, config } = role()

/** @type {{ stop(): unknown }[]} */
const peers = []
while (peers.length < config.hosts) peers.push(await (part === 'blockwire' ? node() : bare()))
await tell({ joined: peers.length })
await asked()
await Promise.all(peers.map((peer) => peer.stop()))

async function node() {
  const peers = { target: 1, introductions: false }
  const made = await createNode({ rules: testRules(), seeds: config.addresses, peers })
  await joined(() => made.peers.connected.size)
  return made
}

async function bare() {
  const made = await host('/ip4/127.0.0.1/tcp/0')
  await made.dial(multiaddr(config.addresses[0]))
  await joined(() => made.services.gossip.getPeers().length)
  return made
}

/** @param {() => number} count */
async function joined(count) {
  await complete(() => (count() === 1 ? '' : `peer ${peers.length + 1} has not joined the hub`), config.joinMs)
}
