// Two hosts with libp2p's gossipsub and nothing of blockwire's: a message for each transaction, or (the limit) batches of 64 KiB, of which
// the receiver hashes each transaction and keeps nothing.
import { once } from 'node:events'
import { gossipsub } from '@libp2p/gossipsub'
import { sha256 } from 'blockwire/chain'
import { encodeBatch, splitBatch } from 'blockwire/pool'
import { role, tell } from '../child.mjs'
import { transactions } from './chain.mjs'
import { ended, receiving, sending } from './flow.mjs'
import { host } from './host.mjs'

const TOPIC = 'txs'

const { role: part, config } = role()
const libp2p = await host({
  gossip: gossipsub({
    globalSignaturePolicy: config.sign ? 'StrictSign' : 'StrictNoSign',
    allowPublishToZeroTopicPeers: true,
    ...(config.batched ? { msgIdFn: ({ data }) => sha256(data).slice(0, 20) } : {})
  })
})
const pubsub = libp2p.services.gossip
pubsub.subscribe(TOPIC)

if (part === 'receiver') {
  await tell({ addresses: libp2p.getMultiaddrs().map(String) })
  let arrived = 0
  pubsub.addEventListener('message', ({ detail: { data } }) => {
    if (!config.batched) {
      arrived++
      return
    }
    for (const tx of splitBatch(data, 65_536)) if (sha256(tx).length === 32) arrived++
  })
  await receiving(config, () => arrived)
} else {
  const txs = transactions('unsigned', new Uint8Array(32), config.warm + config.count)
  const { multiaddr } = await import('@multiformats/multiaddr')
  const meshed = once(/** @type {any} */ (pubsub), 'gossipsub:graft')
  await libp2p.dial(config.addresses.map((/** @type {string} */ address) => multiaddr(address)))
  await meshed
  const publish = async (/** @type {Uint8Array} */ data) => {
    const { recipients } = await pubsub.publish(TOPIC, data)
    // it would be waited for in vain
    if (recipients.length !== 1) throw new Error(`a message went to ${recipients.length} peers`)
  }
  await sending(config, async (from, to) => {
    const list = txs.slice(from, to)
    if (config.batched) await publish(encodeBatch(list))
    else for (const tx of list) await publish(tx)
  })
}
await ended(() => libp2p.stop())
