import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { hostDefaults, type Peers, type PeersInit, peers, steadyMuxer } from 'blockwire/peers'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { afterEach } from 'vitest'

export const TOPIC = 't'

/** A part of gossipsub that its type leaves out. */
export interface Pubsub {
  subscribe(topic: string): void
  publish(topic: string, data: Uint8Array): Promise<{ recipients: unknown[] }>
  getSubscribers(topic: string): { toString(): string }[]
  addEventListener(name: 'message', listener: (event: CustomEvent<{ data: Uint8Array }>) => void): void
}

export type Host = Libp2p<{ peers: Peers; pubsub: Pubsub }>

export interface HostInit extends PeersInit {
  /** @default '/ip4/127.0.0.1/tcp/0' */
  listen?: string
  /** A chain's name; without it the node has no chain. */
  chain?: string
  gossip?: boolean
  key?: PrivateKey
  libp2p?: Partial<Libp2pOptions>
  /** More services, or ones in place of ours. */
  services?: Record<string, (components: never) => unknown>
}

const running = new Set<Libp2p>()

afterEach(async () => {
  await Promise.all([...running].map((host) => host.stop()))
  running.clear()
})

/** A started libp2p host with peers, stopped after the test. */
export async function makeHost(init: HostInit = {}): Promise<Host> {
  const { listen, chain, gossip, key, libp2p, services, ...peersInit } = init
  const { yamux: muxer, ping: pings, identify: ids, ...options } = hostDefaults()
  const host = await createLibp2p({
    ...options,
    addresses: { listen: [listen ?? '/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), memory()],
    connectionEncrypters: [noise()],
    streamMuxers: [steadyMuxer(yamux(muxer) as never)],
    ...(key == null ? {} : { privateKey: key }),
    ...libp2p,
    services: {
      identify: identify(ids),
      ping: ping(pings),
      ...(chain == null ? {} : { chain: () => ({ id: chain }) }),
      peers: peers(peersInit) as never,
      ...(gossip === true
        ? {
            pubsub: gossipsub({
              globalSignaturePolicy: 'StrictNoSign',
              allowPublishToZeroTopicPeers: true,
              fallbackToFloodsub: false,
              scoreParams: { IPColocationFactorWeight: 0 },
              msgIdFn: (message) => message.data.slice(0, 20)
            })
          }
        : {}),
      ...services
    } as never
  })
  running.add(host as unknown as Libp2p)
  return host as unknown as Host
}

export const addressOf = (host: Host): string => {
  const address = host.getMultiaddrs()[0]
  if (address == null) throw new Error('the host does not listen')
  return address.toString()
}

export const idOf = (host: Host): string => host.peerId.toString()

/**
 * Waits for a condition, looking often; says what was missing when it does not come. Not by events: many conditions turn the hands of a
 * clock as they look, or look at what tells nobody of its changes.
 */
export async function until(what: string | (() => string), condition: () => boolean, ms = 20_000): Promise<void> {
  const end = Date.now() + ms
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${typeof what === 'string' ? what : what()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Whether each of these has joined all the others. */
export function allJoined(hosts: readonly Host[]): boolean {
  return hosts.every((host) => hosts.every((other) => other === host || host.services.peers.connected.has(idOf(other))))
}
