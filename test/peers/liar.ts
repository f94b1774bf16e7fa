import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { steadyMuxer } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'
import { afterEach } from 'vitest'

const running = new Set<Libp2p>()

afterEach(async () => {
  await Promise.all([...running].map((host) => host.stop()))
  running.clear()
})

export interface LiarInit {
  addresses?: Multiaddr[]
  protocols?: string[]
  /** What it does instead of answering identify, once this is true. */
  isMute?(): boolean
}

/** A libp2p host that says of itself in identify what we like, signed as it should be. Stopped after the test. */
export async function makeLiar({ addresses = [], protocols = [], isMute = () => false }: LiarInit): Promise<Libp2p> {
  const privateKey = await generateKeyPair('Ed25519')
  const peerId = peerIdFromPrivateKey(privateKey)
  const host = await createLibp2p({
    privateKey,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [steadyMuxer(yamux() as never)],
    connectionMonitor: { enabled: false },
    services: { ping: ping() }
  })
  running.add(host)
  const record = await RecordEnvelope.seal(new PeerRecord({ peerId, multiaddrs: addresses }), privateKey)
  const fields: [number, Uint8Array][] = [
    [1, publicKeyToProtobuf(privateKey.publicKey)],
    ...addresses.map((address): [number, Uint8Array] => [2, address.bytes]),
    ...['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0', ...protocols].map((name): [number, Uint8Array] => [
      3,
      new TextEncoder().encode(name)
    ]),
    [8, record.marshal()]
  ]
  await host.handle(
    '/ipfs/id/1.0.0',
    async (stream) => {
      if (isMute()) return
      await lpStream(stream).write(Uint8Array.from(fields.flatMap(([tag, bytes]) => field(tag, bytes))))
      await stream.close()
    },
    { maxInboundStreams: 1000 }
  )
  return host
}

/** A field of protobuf: bytes with their length. */
function field(tag: number, bytes: Uint8Array): number[] {
  const size = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7]
  return [(tag << 3) | 2, ...size, ...bytes]
}
