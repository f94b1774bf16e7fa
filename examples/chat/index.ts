/**
 * A chat of everyone with everyone who is connected: a plain libp2p host with blockwire's chat, no chain. What happens is reported
 * as events. `blockwire chat` is a shell around this file.
 */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Conversation, chat, type EndReason } from 'blockwire/chat'
import { hostDefaults } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'

/** Peers are their ID string. Text is as it came: show it through `printable`. */
export type ChatEvent =
  | { event: 'conversation'; peer: string }
  | { event: 'line'; peer: string; text: string }
  | { event: 'closed'; peer: string; reason: EndReason }

export interface ChatRoomInit {
  /** Multiaddrs to listen on. */
  listen: string[]
  /** @default a new one */
  privateKey?: PrivateKey
  /** Gets every event, those of one conversation in order. The next line of a peer is read when this one is done. */
  report(event: ChatEvent): void | Promise<void>
}

export type ChatRoom = Awaited<ReturnType<typeof openChatRoom>>

/** Starts the host. Rejects when it cannot listen. */
export async function openChatRoom({ listen, privateKey, report }: ChatRoomInit) {
  const defaults = hostDefaults()
  const host = await createLibp2p({
    ...(privateKey == null ? {} : { privateKey }),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux(defaults.yamux) as never],
    connectionManager: defaults.connectionManager,
    peerStore: defaults.peerStore,
    // Finds out within half a minute that a peer is gone whose cable was pulled.
    connectionMonitor: { pingInterval: 10_000, pingTimeout: { minTimeout: 15_000 } },
    services: { identify: identify(defaults.identify), chat: chat() },
    start: false
  })
  const { chat: service } = host.services

  async function listenTo(conversation: Conversation): Promise<void> {
    const peer = conversation.peer.toString()
    await report({ event: 'conversation', peer })
    for await (const text of conversation) await report({ event: 'line', peer, text })
    // The other side has no more to say, and we talk to nobody who does not.
    const { reason } = await conversation.close()
    await report({ event: 'closed', peer, reason })
  }

  service.addEventListener('conversation', ({ detail }) => void listenTo(detail))
  await host.start()

  return {
    peerId: host.peerId.toString(),
    multiaddrs: host.getMultiaddrs().map(String),
    /** How many conversations are open. */
    get size(): number {
      return service.conversations.length
    },
    /** Begins a conversation with the peer at a multiaddr. Rejects with an error that says why it cannot. */
    async join(address: string): Promise<void> {
      void listenTo(await service.open(address))
    },
    /** Says a line to everyone, once to each peer. Resolves with the number of peers whose stream has taken it. */
    async say(text: string): Promise<number> {
      const peers = new Map(service.conversations.map((conversation) => [conversation.peer.toString(), conversation]))
      const sent = await Promise.allSettled([...peers.values()].map(async (conversation) => conversation.send(text)))
      const refused = sent.find((one) => one.status === 'rejected' && one.reason.name === 'ConfigError')
      if (refused?.status === 'rejected') throw refused.reason
      return sent.filter(({ status }) => status === 'fulfilled').length
    },
    /** Ends every conversation once all is said. Resolves with how many were lost before. */
    async finish(): Promise<number> {
      const endings = await Promise.all(service.conversations.map((conversation) => conversation.close()))
      return endings.filter(({ reason }) => reason === 'lost' || reason === 'slow').length
    },
    /** Says goodbye to everyone and stops the host, for at most about a second. */
    async stop(): Promise<void> {
      const cut = setTimeout(() => {
        for (const connection of host.getConnections()) connection.abort(new Error('the host stops'))
      }, 1_000)
      await host.stop()
      clearTimeout(cut)
    }
  }
}
