// Two nodes as an app makes them: one with a chain on disk, one that begins with nothing.
import { once } from 'node:events'
import { join } from 'node:path'
import { createNode } from 'blockwire'
import { toHex } from 'blockwire/chain'
import { faultOf } from 'blockwire/peers'
import { asked, role, spent, tell } from '../child.mjs'
import { rulesOf } from './chain.mjs'

/** Of what it fetches before it is measured, where that is asked for: V8 compiles for the first 50,000 blocks or so. */
const WARM_ROUNDS = 5
/** How often the client says how far it is. */
const TELL_MS = 10_000

const { role: part, config } = role()
const rules = /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(config.kind))

if (part === 'server') await serve()
else {
  const { dir, warm = 0, blocks } = config
  // so that a short download is not measured while the engine still compiles
  for (let i = 0; warm > 0 && i < WARM_ROUNDS; i++) await download(join(dir, `warm-${i}`), warm)
  const { sample, stop } = await download(join(dir, 'measured'), blocks, true)
  await tell(sample)
  await stop()
}

async function serve() {
  const node = await createNode({ rules, dataDir: config.dir })
  const begin = process.cpuUsage()
  await tell({ addresses: node.multiaddrs })
  await asked()
  await tell(spent(begin))
  await asked()
  await node.stop()
}

/** @param {string} dataDir @param {number} blocks @param {boolean} [measured] */
async function download(dataDir, blocks, measured = false) {
  const node = await createNode({ rules, dataDir, seeds: config.addresses, role: config.role ?? 'full' })
  const charged = charges(node.peers)
  // from the first request on, as with the others: dialling and handshakes are no part of it
  while (node.sync.state === 'no-peers' || node.sync.state === 'idle')
    await once(/** @type {any} */ (node.sync), 'state')
  const begin = process.cpuUsage()
  const from = performance.now()
  let told = 0
  const timer = setInterval(() => {
    const { height } = node.chain.head
    // silence is what the parent takes for a stop
    if (height > told) void tell({ progress: height })
    told = height
  }, TELL_MS)
  const { hash } = await node.chain.waitFor(blocks)
  const seconds = (performance.now() - from) / 1_000
  clearInterval(timer)
  const sample = { seconds, head: toHex(hash), charged, ...spent(begin) }
  if (!measured) await node.stop()
  return { sample, stop: () => node.stop() }
}

/**
 * By peer, for what it is charged with more than slowness, from now on.
 *
 * @param {import('blockwire/peers').Peers} peers
 */
function charges(peers) {
  /** @type {Record<string, string>} */
  const charged = {}
  const { fault, judge } = peers
  /** @param {import('@libp2p/interface').PeerId} peer @param {string} kind @param {string} reason */
  const note = (peer, kind, reason) => {
    if (kind === 'provable' || kind === 'protocol') charged[peer.toString()] ??= `${kind}: ${reason}`
  }
  peers.fault = (peer, kind, reason) => {
    note(peer, kind, reason)
    fault.call(peers, peer, kind, reason)
  }
  peers.judge = (peer, verdict, via) => {
    if (verdict.result === 'reject') note(peer, faultOf(verdict, via), verdict.reason)
    judge.call(peers, peer, verdict, via)
  }
  return charged
}
