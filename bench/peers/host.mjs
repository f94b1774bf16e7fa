import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { hostDefaults } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'
import { gossipsubOptions } from '../../dist/src/gossip/options.js'

/** The topics that a node of a chain subscribes to. */
export const TOPICS = ['/blockwire/bench/blocks/1', '/blockwire/bench/txs/1']

/**
 * A bare libp2p host: transport, muxer, identify, ping and gossipsub with the options that `createNode` gives them, and nothing of
 * blockwire's that runs.
 *
 * @param {string} listen
 * @param {Pick<import('libp2p').Libp2pOptions, 'transports' | 'privateKey'>} [more]
 */
export async function host(listen, more) {
  const { yamux: muxer, ping: pings, identify: ids, ...options } = hostDefaults()
  const gossip = gossipsubOptions({
    given: {},
    maxMessageBytes: 1 << 20,
    preset: 'public',
    score: () => 0,
    filter: (_, data) => data
  })
  const node = await createLibp2p({
    ...options,
    addresses: { listen: [listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [/** @type {any} */ (yamux(muxer))],
    ...more,
    services: { identify: identify(ids), ping: ping(pings), gossip: gossipsub(gossip) }
  })
  for (const topic of TOPICS) node.services.gossip.subscribe(topic)
  return node
}
