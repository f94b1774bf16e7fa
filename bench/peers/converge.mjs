// A network in one process: nodes that know nothing but a seed, or bare hosts that know whom to dial.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { memory } from '@libp2p/memory'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { createNode } from 'blockwire'
import { testRules } from 'blockwire/testing'
import { role, tell } from '../child.mjs'
import { host } from './host.mjs'
import { complete } from './wait.mjs'

const { role: part, config } = role()
const { count, target, convergeMs } = config

const keys = await Promise.all(Array.from({ length: count }, () => generateKeyPair('Ed25519')))
const ids = keys.map((key) => peerIdFromPrivateKey(key).toString())
const addresses = ids.map((id, i) => `/memory/${i}/p2p/${id}`)
const transports = [memory()]

const from = performance.now()
const { stop } = await (part === 'blockwire' ? nodes() : hosts())
await tell({ ms: performance.now() - from })
await stop()

/** The first is the seed. */
async function nodes() {
  const all = await Promise.all(
    keys.map((privateKey, i) =>
      createNode({
        rules: testRules(),
        role: i === 0 ? 'seed' : 'full',
        listen: `/memory/${i}`,
        seeds: i === 0 ? [] : [addresses[0]],
        privateKey,
        peers: { target },
        libp2p: { transports }
      })
    )
  )
  await complete(() => unconverged(all.slice(1)), convergeMs)
  return { stop: () => Promise.all(all.map((node) => node.stop())) }
}

/** @param {Pick<import('blockwire').Node, 'peerId' | 'peers'>[]} nodes Without the seed. */
function unconverged(nodes) {
  const few = nodes.map(({ peers }) => peers.connected.size).filter((size) => size < target)
  const parts = components(new Map(nodes.map(({ peerId, peers }) => [peerId.toString(), [...peers.connected.keys()]])))
  const missing = []
  if (few.length > 0) missing.push(`${few.length} of ${nodes.length} have fewer than ${target} peers: ${few.join(' ')}`)
  if (parts.length > 1) missing.push(`without the seed there are ${parts.length} networks: of ${parts.join(' ')} nodes`)
  return missing.join('; ')
}

/** Sizes of the parts that hang together. @param {Map<string, string[]>} neighbours Those that are no key are left out. */
function components(neighbours) {
  const left = new Set(neighbours.keys())
  /** @type {number[]} */
  const sizes = []
  for (const first of left) {
    left.delete(first)
    const part = [first]
    for (const id of part) {
      for (const other of neighbours.get(id) ?? []) if (left.delete(other)) part.push(other)
    }
    sizes.push(part.length)
  }
  return sizes
}

/** Each dials those that follow it in a ring, so that no two dial each other. */
async function hosts() {
  const all = await Promise.all(keys.map((privateKey, i) => host(`/memory/${i}`, { privateKey, transports })))
  let identified = 0
  for (const libp2p of all) libp2p.addEventListener('peer:identify', () => identified++)
  const dials = all.flatMap((libp2p, i) =>
    Array.from({ length: target }, (_, k) => libp2p.dial(multiaddr(addresses[(i + k + 1) % count])))
  )
  await Promise.all(dials)
  // each connection by both of its ends
  const wanted = 2 * dials.length
  await complete(() => (identified === wanted ? '' : `${identified} of ${wanted} ends are identified`), convergeMs)
  return { stop: () => Promise.all(all.map((libp2p) => libp2p.stop())) }
}
