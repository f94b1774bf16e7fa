/**
 * Peers without a chain: three plain libp2p hosts. Alice and Bob know nobody but a seed that is not there yet; they go on trying, find it
 * when it starts, are introduced to each other by it, and stay together when it goes. `npm run example -- peers`
 */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { hostDefaults, type PeersInit, peers, steadyMuxer } from 'blockwire/peers'
import { createLibp2p, type Libp2pOptions } from 'libp2p'

/** A libp2p host as you make it anyway, with `peers` among its services and libp2p's defaults corrected. */
async function host(name: string, init: PeersInit, more: Libp2pOptions = {}) {
  const { yamux: muxer, ping: pings, identify: ids, ...defaults } = hostDefaults()
  const node = await createLibp2p({
    ...defaults,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [steadyMuxer(yamux(muxer) as never)],
    ...more,
    // peers of the same `network` introduce each other
    services: { identify: identify(ids), ping: ping(pings), peers: peers({ network: 'example', ...init }) }
  })
  const names = (id: string): string => (id === seedId ? 'the seed' : `…${id.slice(-6)}`)
  node.services.peers.addEventListener('seed', ({ detail: { state, error, nextMs } }) => {
    if (error != null) console.log(`${name}: the seed is ${state}: ${error}; again in ${nextMs} ms`)
  })
  node.services.peers.addEventListener('join', ({ detail }) =>
    console.log(`${name}: ${names(`${detail.peer}`)} is here`)
  )
  node.services.peers.addEventListener('leave', ({ detail: { peer, reason } }) =>
    console.log(`${name}: ${names(`${peer}`)} is gone: ${reason}`)
  )
  return node
}

const privateKey = await generateKeyPair('Ed25519')
const seedId = peerIdFromPrivateKey(privateKey).toString()
const listen = `/ip4/127.0.0.1/tcp/${process.argv[2] ?? 5960}`
const seeds = [`${listen}/p2p/${seedId}`]

const [alice, bob] = await Promise.all([host('alice', { seeds }), host('bob', { seeds })])
await alice.services.peers.flush() // has tried whom it knows: nobody is there

const seed = await host('seed', { role: 'seed' }, { addresses: { listen: [listen] }, privateKey })
const others = alice.services.peers
for (const each of [others, bob.services.peers]) {
  while (each.connected.size < 2) await new Promise((resolve) => each.addEventListener('join', resolve, { once: true }))
}

const alone = new Promise((resolve) => others.addEventListener('leave', resolve, { once: true }))
await seed.stop()
await alone
for (const { peer, state, next } of others.explain())
  console.log(`alice: ${peer === seedId ? 'the seed' : 'bob'} is ${state}, next: ${next?.action} in ${next?.inMs} ms`)
await Promise.all([alice.stop(), bob.stop()])
