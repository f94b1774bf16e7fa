/** A libp2p host for chats: conversations, and rooms over gossip with peers that find each other. There is no chain. */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { chat } from 'blockwire/chat'
import { gossip } from 'blockwire/gossip'
import { hostDefaults, peers, steadyMuxer } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'

export interface ChatHostInit {
  /** Multiaddrs to listen on. */
  listen: string[]
  /** @default a new one */
  privateKey?: PrivateKey
  /** How long one whose connection is lost is waited for, in ms. */
  awayMs: number
  /** Whom to stay connected with. */
  seeds: string[]
  /** Find others through those who are connected. */
  introductions: boolean
}

/** Gossip asks for a chain, for the name in its topics and the size of its messages. */
const NO_CHAIN = { id: 'chat', limits: { blockBytes: 65_536, txBytes: 65_536, headerBytes: 1_024, futureMs: 15_000 } }

/** Not started. */
export async function chatHost({ listen, privateKey, awayMs, seeds, introductions }: ChatHostInit) {
  const { yamux: muxer, identify: ids, ping: pings, ...defaults } = hostDefaults()
  return createLibp2p({
    ...defaults,
    ...(privateKey == null ? {} : { privateKey }),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [steadyMuxer(yamux(muxer) as never)],
    services: {
      identify: identify(ids),
      ping: ping(pings),
      chain: () => NO_CHAIN,
      peers: peers({ seeds, introductions }),
      gossip: gossip({ maxMessageBytes: 65_536 }) as never,
      chat: chat({ awayMs })
    },
    start: false
  })
}
