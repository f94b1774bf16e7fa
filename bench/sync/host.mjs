import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

/** A bare libp2p host with the transport of `createNode`. @param {string[]} listen */
export function host(listen) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [/** @type {any} */ (yamux())],
    connectionMonitor: { enabled: false }
  })
}
