// Two nodes as an app makes them: one with a chain on disk, one that begins with nothing.
import { once } from 'node:events'
import { createNode } from 'blockwire'
import { toHex } from 'blockwire/chain'
import { asked, role, spent, tell } from '../child.mjs'
import { rulesOf } from './chain.mjs'

const { role: part, config } = role()
const rules = /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(config.kind))
const node = await createNode({ rules, dataDir: config.dir, ...(part === 'client' ? { seeds: config.addresses } : {}) })

if (part === 'server') {
  const begin = process.cpuUsage()
  await tell({ addresses: node.multiaddrs })
  await asked()
  await tell(spent(begin))
  await asked()
} else {
  // from the first request on, as with the others: dialling and handshakes are no part of it
  while (node.sync.state === 'no-peers' || node.sync.state === 'idle')
    await once(/** @type {any} */ (node.sync), 'state')
  const begin = process.cpuUsage()
  const from = performance.now()
  const { hash } = await node.chain.waitFor(config.blocks)
  const seconds = (performance.now() - from) / 1_000
  await tell({ seconds, head: toHex(hash), ...spent(begin) })
}
await node.stop()
