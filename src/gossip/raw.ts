import type { GossipSub } from '@libp2p/gossipsub'
import type { TopicScoreParams } from '@libp2p/gossipsub/score'
import type { PeerId, Startable, Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'

/** A message as gossipsub passes it on. */
export interface RawMessage {
  topic: string
  data?: Uint8Array
}

/** What a peer is told to be had from us. */
export interface RawHave {
  topicID?: string
  messageIDs: Uint8Array[]
}

/** What gossipsub writes to a peer in one piece. */
export interface RawRpc {
  subscriptions: { topic?: string; subscribe?: boolean }[]
  messages: RawMessage[]
  control?: { ihave: RawHave[]; iwant: object[]; graft: object[]; prune: object[]; idontwant: object[] }
}

/** Our stream to a peer. */
export interface RawOutbound {
  readonly rawStream: Stream
  /** Puts the length before the RPC. */
  push(rpc: Uint8Array): void
  pushPrefixed(bytes: Uint8ArrayList): void
}

export interface RawCache {
  readonly msgs: Map<string, { readonly validated: boolean }>
  /** False when it is there already. */
  put(id: { msgIdStr: string }, message: RawMessage, validated?: boolean): boolean
  remove(msgIdStr: string): unknown
}

/** gossipsub 17 has these at run time; its interface leaves them out. Everything of it that this room reaches into is here. */
export interface RawGossipsub extends GossipSub, Startable {
  /** By peer ID. One whose stream is dead may stay in it. */
  readonly streamsOutbound: Map<string, RawOutbound>
  readonly streamsInbound: Map<string, { readonly rawStream: Stream }>
  /** What is told to a peer with the next RPC, whatever that is for. */
  readonly gossip: Map<string, RawHave[]>
  /** What it remembers of messages, those included that wait for their verdict. */
  readonly mcache: RawCache
  readonly score: { readonly params: { readonly topics: Record<string, TopicScoreParams> } }
  isStarted(): boolean
  getScore(peer: string): number
  publish(topic: string, data: Uint8Array, options?: { floodPublish?: boolean }): Promise<{ recipients: PeerId[] }>
  getMeshPeers(topic: string): string[]
  reportMessageValidationResult(messageId: string, source: string, result: string): void
  /** False when it was not handed to a stream. */
  sendRpc(peer: string, rpc: RawRpc): boolean
  /** Takes in what a peer sends, piece by piece: it is not called again for the same stream before it has answered. */
  handleReceivedRpc(peer: PeerId, rpc: RawRpc): Promise<void>
  /** Answers what a peer asks for; the caller sends all of it in one RPC. */
  handleIWant(peer: string, iwant: object[]): RawMessage[]
  /** Forgets a peer: its streams, subscriptions and places in meshes. */
  onPeerDisconnected(peer: PeerId): void
}

const USED = [
  'sendRpc',
  'handleIWant',
  'handleReceivedRpc',
  'onPeerDisconnected',
  'getMeshPeers',
  'getScore',
  'reportMessageValidationResult'
] as const

/** @throws Error when this release of gossipsub lacks what is used here: better now than a node without back-pressure */
export function raw(pubsub: GossipSub): RawGossipsub {
  const inner = pubsub as RawGossipsub
  const missing: string[] = USED.filter((name) => typeof inner[name] !== 'function')
  for (const map of ['streamsOutbound', 'streamsInbound', 'gossip'] as const) {
    if (!(inner[map] instanceof Map)) missing.push(map)
  }
  if (!(inner.mcache?.msgs instanceof Map) || typeof inner.mcache.put !== 'function') missing.push('mcache')
  if (typeof inner.score?.params?.topics !== 'object') missing.push('score.params')
  if (missing.length > 0) throw new Error(`this release of gossipsub has no ${missing.join(', ')}`)
  return inner
}
