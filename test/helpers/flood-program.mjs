// A peer that floods its neighbour with transactions, 50,000 a second, heeding nothing. Told what to do by one argument of JSON:
// { address, topic, kind: 'repeated' | 'known' | 'inadmissible' | 'invalid' }. Says `{"event":"flooding"}` once it has begun, and
// `{"event":"parted"}` when its neighbour has closed the connection.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { encodeBatch } from '../../dist/src/pool/index.js'
import { testRules } from '../../dist/src/testing/rules.js'

const { address, topic, kind } = JSON.parse(process.argv[2])
const RATE = 50_000
const STEP_MS = 10
/** Transactions of one message; of those that are repeated each is a message of its own. */
const BATCH = kind === 'repeated' ? 1 : 250

const { tx } = testRules()
const say = (event) => console.log(JSON.stringify({ event }))
const libp2p = await createLibp2p({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    gossip: gossipsub({ globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true })
  }
})
const { gossip } = libp2p.services
libp2p.addEventListener('peer:disconnect', () => say('parted'))
gossip.subscribe(topic)
const grafted = new Promise((resolve) => gossip.addEventListener('gossipsub:graft', resolve, { once: true }))
const { remotePeer } = await libp2p.dial(multiaddr(address))
await grafted

let n = 0
/** The first thousand `set` transactions are those that the test has pooled. */
function next() {
  n++
  if (kind === 'inadmissible') return tx.encode({ kind: 'fail', key: `f${n}`, value: 'x'.repeat(160), salt: n })
  if (kind === 'invalid') return tx.encode({ kind: 'bad', key: `b${n}`, value: 'x'.repeat(160), salt: n })
  return tx.encode({ kind: 'set', key: `known ${Math.floor(1_000 * Math.random())}`, value: 'x'.repeat(160), salt: 0 })
}

let due = 0
let last = performance.now()
const timer = setInterval(() => {
  const now = performance.now()
  due += (RATE * (now - last)) / 1_000
  last = now
  // a neighbour that does not read must not make us grow without end
  const stream = gossip.streamsOutbound.get(remotePeer.toString())?.rawStream
  if (stream == null || stream.writeBufferLength > 64 << 20) {
    due = 0
    return
  }
  const messages = []
  for (; due >= BATCH; due -= BATCH) messages.push({ topic, data: encodeBatch(Array.from({ length: BATCH }, next)) })
  for (let at = 0; at < messages.length; at += 50) {
    gossip.sendRpc(remotePeer.toString(), { subscriptions: [], messages: messages.slice(at, at + 50) })
  }
}, STEP_MS)
timer.ref()
say('flooding')
