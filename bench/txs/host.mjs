import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { hostDefaults } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'

export const LISTEN = '/ip4/127.0.0.1/tcp/0'

/**
 * A libp2p host with the transport and the muxer of `createNode`, and these services.
 *
 * @template {import('libp2p').ServiceFactoryMap} S
 * @param {S} services
 */
export function host(services) {
  const { yamux: muxer, ping: _, identify: ids, ...options } = hostDefaults()
  return createLibp2p({
    ...options,
    addresses: { listen: [LISTEN] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [/** @type {any} */ (yamux(muxer))],
    services: { identify: identify(ids), ...services }
  })
}
