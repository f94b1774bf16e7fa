import { encode as varint } from 'uint8-varint'
import { Uint8ArrayList } from 'uint8arraylist'
import type { RawGossipsub, RawHave, RawOutbound, RawRpc } from './raw.js'

/** Message IDs of one RPC that carries nothing else; 22 bytes each. gossipsub names up to 5,000 a topic, beside whatever it sends. */
const MAX_HAVES = 1_000

export interface SendingInit {
  /** What may wait in one stream; gossipsub resets it when there is more. */
  maxBufferedBytes: number
  /** Should this peer be given messages while its stream holds so many bytes? */
  takes(peer: string, held: number): boolean
}

/**
 * Puts itself between gossipsub and its streams, so that no RPC becomes larger than what peers accept and no stream is given more
 * than it may hold: either would end the link, with the connection standing and nothing to be seen. What cannot be sent is not sent,
 * and gossipsub does not count that peer as a recipient.
 */
export function boundSending(pubsub: RawGossipsub, init: SendingInit): void {
  const send = pubsub.sendRpc.bind(pubsub)
  const widened = new WeakSet<RawOutbound>()
  pubsub.sendRpc = (peer: string, rpc: RawRpc): boolean => {
    if (rpc.messages.length > 0) {
      const out = pubsub.streamsOutbound.get(peer)
      if (out?.rawStream.status !== 'open') return false
      if (!widened.has(out)) widened.add(widen(out))
      const held = out.rawStream.writeBufferLength
      const bytes = rpc.messages.reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0)
      if (!init.takes(peer, held)) return false
      if (held + bytes + 65_536 > init.maxBufferedBytes) return false
      // what else a sender put beside the data, unsigned and unchecked, would travel on with it
      rpc.messages = rpc.messages.map(({ topic, data }) => (data == null ? { topic } : { topic, data }))
    }
    const haves = pubsub.gossip.get(peer)
    if (haves != null && count(haves) > MAX_HAVES) {
      pubsub.gossip.delete(peer)
      for (const part of parts(haves)) send(peer, rpcOf(part))
    }
    return send(peer, rpc)
  }
}

/** gossipsub puts the length before an RPC with a function that refuses more than 4 MiB, whatever it was told to accept. */
function widen(out: RawOutbound): RawOutbound {
  out.push = (rpc) => out.pushPrefixed(new Uint8ArrayList(varint(rpc.byteLength), rpc))
  return out
}

function rpcOf(ihave: RawHave[]): RawRpc {
  return { subscriptions: [], messages: [], control: { ihave, iwant: [], graft: [], prune: [], idontwant: [] } }
}

function count(haves: RawHave[]): number {
  return haves.reduce((sum, { messageIDs }) => sum + messageIDs.length, 0)
}

/** One for each topic, those with few messages together: peers read ten a heartbeat, and an ID that is named again later is no loss. */
function parts(haves: RawHave[]): RawHave[][] {
  const all: RawHave[][] = []
  let last: RawHave[] = []
  for (const have of haves) {
    if (all.length === 0 || count(last) + have.messageIDs.length > MAX_HAVES) {
      last = []
      all.push(last)
    }
    last.push(have)
  }
  return all
}
