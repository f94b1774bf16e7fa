/**
 * @packageDocumentation
 * Messages to everybody: the node's one gossipsub with a registry of topics, and blocks on it.
 *
 * A message is forwarded only when the validator of its topic has accepted it; who sent what it could have known to be wrong is
 * judged by the peers service. Nothing here throws for what others send. The wire is on docs/wire.md, section 4.
 *
 * @example
 * ```ts
 * const news = node.gossip.topic('news', { maxBytes: 1_024 })
 * news.addEventListener('message', ({ detail }) => console.log(new TextDecoder().decode(detail.data)))
 * await news.publish(new TextEncoder().encode('hello'))
 * ```
 */
export {
  type Blocks,
  type BlocksChain,
  type BlocksComponents,
  type BlocksInit,
  type BlocksPool,
  blocks
} from './blocks.js'
export { gossip } from './gossip.js'
export { MESSAGE_ID_BYTES, messageId } from './message-id.js'
export type { PendingLimits } from './pending.js'
export type { Gossip, GossipComponents, GossipInit, GossipLink, GossipPeers } from './port.js'
export type { BlocksPeers, BodiesSync } from './rebuild.js'
export type { ScorePreset } from './score-params.js'
export type { BlocksSync } from './search.js'
export type { Topic, TopicEvents, TopicMessage, TopicOptions } from './topic.js'
