// Two nodes with pools: what one's app hands to its pool stands in the other's pool in the end.
import { once } from 'node:events'
import { Chain } from 'blockwire/chain'
import { gossip } from 'blockwire/gossip'
import { pool } from 'blockwire/pool'
import { role, tell } from '../child.mjs'
import { rulesOf, transactions } from './chain.mjs'
import { ended, receiving, sending } from './flow.mjs'
import { host } from './host.mjs'

const { role: part, config } = role()
const chain = new Chain({ rules: /** @type {any} */ (rulesOf(config.case)) })
const all = config.warm + config.count
const libp2p = await host({
  chain: () => chain,
  gossip: gossip(),
  // no block empties them here
  pool: pool({ txs: 2 * all, bytes: 1_000 * all, txsPerPeer: 2 * all })
})
const services = /** @type {any} */ (libp2p.services)
/** @type {import('blockwire/pool').Pool<unknown>} */
const pending = services.pool

if (part === 'receiver') {
  await tell({ addresses: libp2p.getMultiaddrs().map(String) })
  await receiving(config, () => pending.size)
} else {
  const txs = transactions(config.case, chain.genesis.hash, all)
  const { multiaddr } = await import('@multiformats/multiaddr')
  const meshed = once(services.gossip.pubsub, 'gossipsub:graft')
  await libp2p.dial(config.addresses.map((/** @type {string} */ address) => multiaddr(address)))
  await meshed
  await sending(config, async (from, to) => {
    // it has signed them itself
    const added = await pending.add(txs.slice(from, to), { trusted: true })
    const refused = added.find(({ verdict }) => verdict.result !== 'accept')
    if (refused != null) throw new Error(`refused: ${JSON.stringify(refused.verdict)}`)
  })
}
await ended(() => libp2p.stop())
