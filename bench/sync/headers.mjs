// Headers alone, as a light node would fetch them: a node with a chain on disk, and a bare host that asks `sync/1` for page after page
// and gives them to a chain of its own. The planner has no part in it.
import { multiaddr } from '@multiformats/multiaddr'
import { Chain, toHex } from 'blockwire/chain'
import { systemClock } from '../../dist/src/clock.js'
import { openDataDir } from '../../dist/src/data-dir.js'
import { Requester } from '../../dist/src/sync/requester.js'
import { syncProtocol } from '../../dist/src/sync/wire.js'
import { role, spent, tell } from '../child.mjs'
import { rulesOf } from './chain.mjs'
import { host } from './host.mjs'

const { config } = role()
const data = await openDataDir(config.dir)
const chain = new Chain({
  rules: /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(config.kind)),
  db: data.db,
  files: data.files
})
await chain.open()
const node = await host([])
const connection = await node.dial(multiaddr(config.addresses[0]))
const neighbours = /** @type {any} */ ({ heard() {} })
const requester = new Requester(chain, syncProtocol(chain.limits, systemClock), neighbours)
const signal = new AbortController().signal

const begin = process.cpuUsage()
const from = performance.now()
while (chain.target.height < config.blocks) {
  const before = chain.target.height
  for await (const { verdict } of requester.headers(
    { peer: connection.remotePeer, connection, signal },
    chain.locator()
  )) {
    if (verdict.result !== 'accept') throw new Error(`a header is refused: ${JSON.stringify(verdict)}`)
  }
  if (chain.target.height === before) throw new Error(`no header after ${before}`)
}
const seconds = (performance.now() - from) / 1_000
await tell({ seconds, head: toHex(chain.target.hash), ...spent(begin) })
await node.stop()
await chain.close()
await data.close()
