import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import { tcp } from '@libp2p/tcp'
import { type Chat, type ChatInit, type Conversation, chat } from 'blockwire/chat'
import { hostDefaults } from 'blockwire/peers'
import { createLibp2p } from 'libp2p'

export type Host = Libp2p<{ chat: Chat }>

const hosts: Libp2p[] = []
let names = 0
/** Hosts that let nobody in. */
const locked = new Set<Libp2p>()

export function shut(...which: Libp2p[]): void {
  for (const each of which) locked.add(each)
}

export function unlock(...which: Libp2p[]): void {
  for (const each of which) locked.delete(each)
}

/** A plain libp2p with a chat and nothing of a chain; `over` memory or TCP. `stopHosts` stops it. */
export async function chatHost(
  init: ChatInit = {},
  over: 'memory' | 'tcp' = 'memory',
  siblings: Record<string, unknown> = {}
): Promise<Host> {
  const factories = Object.entries(siblings).map(([name, service]) => [name, () => service])
  return (await host({ chat: chat(init), ...Object.fromEntries(factories) }, over)) as unknown as Host
}

/** A plain libp2p without a chat, for tests that write the bytes themselves. */
export function bareHost(over: 'memory' | 'tcp' = 'memory'): Promise<Libp2p> {
  return host({}, over)
}

async function host(services: Record<string, unknown>, over: 'memory' | 'tcp'): Promise<Libp2p> {
  const { yamux: muxer, ping: _ping, identify: ids, transportManager, ...options } = hostDefaults()
  const made: Libp2p = await createLibp2p({
    ...options,
    transportManager,
    addresses: { listen: [over === 'tcp' ? '/ip4/127.0.0.1/tcp/0' : `/memory/chat-${process.pid}-${names++}`] },
    transports: [over === 'tcp' ? tcp() : memory()] as never,
    connectionEncrypters: [noise()],
    streamMuxers: [yamux(muxer) as never],
    connectionGater: { denyInboundConnection: () => locked.has(made) },
    services: { identify: identify(ids), ...services } as never
  })
  hosts.push(made)
  return made
}

export async function stopHosts(): Promise<void> {
  const all = hosts.splice(0)
  // Two ends that close at once wait half a second for each other.
  for (const made of all) for (const connection of made.getConnections()) connection.abort(new Error('test over'))
  await Promise.all(all.map((made) => made.stop()))
}

/** Both ends of a new conversation. */
export async function converse(from: Host, to: Host): Promise<{ ours: Conversation; theirs: Conversation }> {
  const incoming = nextConversation(to)
  const ours = await from.services.chat.open(to.getMultiaddrs()[0]!)
  return { ours, theirs: await incoming }
}

export function nextConversation(host: Host): Promise<Conversation> {
  return new Promise((resolve) => {
    host.services.chat.addEventListener('conversation', ({ detail }) => resolve(detail), { once: true })
  })
}

/** A stream whose bytes the test writes itself, and the conversation at the other end. */
export async function rawStream(
  to: Host,
  from?: Libp2p
): Promise<{ stream: Stream; theirs: Conversation; from: Libp2p }> {
  const dialler = from ?? (await bareHost(to.getMultiaddrs()[0]!.toString().startsWith('/memory') ? 'memory' : 'tcp'))
  const incoming = nextConversation(to)
  const stream = await dialler.dialProtocol(to.getMultiaddrs(), '/chat/1.0.0')
  return { stream, theirs: await incoming, from: dialler }
}

/** All lines until the other side has no more. */
export async function read(conversation: Conversation): Promise<string[]> {
  const lines: string[] = []
  for await (const line of conversation) lines.push(line)
  return lines
}

/** The next `count` lines. */
export async function take(conversation: Conversation, count = 1): Promise<string[]> {
  const lines: string[] = []
  if (count === 0) return lines
  for await (const line of conversation) if (lines.push(line) === count) break
  return lines
}
