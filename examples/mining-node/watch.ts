/** Turns the library's events into the reporter's. */
import type { Node } from 'blockwire'
import type { Rules } from 'blockwire/chain'
import type { CoinHeader, CoinTx } from 'blockwire/pow'
import type { Report } from './event.js'
import { rewardOf } from './wins.js'

type CoinNode = Node<CoinHeader, CoinTx>

/** What `open` had to repair, then what happens. `address` is where our own rewards go. */
export function reportChain(
  { chain, producer }: CoinNode,
  rules: Rules<CoinHeader, CoinTx>,
  address: Uint8Array,
  report: Report
): void {
  const { height, repaired } = chain.report
  if (repaired.length > 0) report({ event: 'repaired', height, what: repaired })
  /** The last block that joined the chain: the head, once `head` comes. */
  let last: { bytes: Uint8Array; txs: number } | undefined
  let blocks = 0
  let before = chain.head.height
  chain.addEventListener('block', ({ detail }) => {
    last = detail
    blocks++
  })
  chain.addEventListener('head', ({ detail: { height, hash, work } }) => {
    // headers have no event of their own
    if (!chain.bodies) blocks = Math.max(1, height - before)
    before = height
    const reward = last == null ? undefined : rewardOf(last.bytes, chain.limits, rules)
    report({
      event: 'head',
      height,
      hash: hex(hash),
      miner: reward?.name ?? '',
      work: work.toString(),
      txs: last?.txs ?? 0,
      own: blocks === 1 && reward != null && hex(reward.to) === hex(address),
      blocks
    })
    blocks = 0
  })
  chain.addEventListener('reorg', ({ detail: { from, to, common, dropped } }) => {
    report({ event: 'reorg', from: hex(from.hash), to: hex(to.hash), common: hex(common.hash), depth: dropped.length })
  })
  chain.addEventListener('error', ({ detail: { code, message, fix } }) => {
    report({ event: 'error', code, message, fix: fix ?? '' })
  })
  producer?.addEventListener('produced', ({ detail: { height, hash } }) => {
    report({ event: 'mined', height, hash: hex(hash) })
  })
  producer?.addEventListener('error', ({ detail }) => {
    report({
      event: 'error',
      code: codeOf(detail),
      message: detail.message,
      fix: 'mining is tried again after a second'
    })
  })
}

export function reportPeers({ libp2p, peers, status, chain }: CoinNode, report: Report): void {
  peers.addEventListener('join', ({ detail: { peer } }) => {
    report({ event: 'peer', action: 'join', peer: peer.toString() })
  })
  peers.addEventListener('leave', ({ detail: { peer, reason } }) => {
    report({ event: 'peer', action: 'leave', peer: peer.toString(), reason })
  })
  peers.addEventListener('seed', ({ detail }) => {
    // that we lose it because we go is no news
    if (libp2p.status !== 'stopping') report({ event: 'seed', ...detail })
  })
  peers.addEventListener('warning', ({ detail: { message } }) => report({ event: 'warning', message }))
  status.addEventListener('refused', ({ detail: { peer, code, field, ours, theirs } }) => {
    report({ event: 'refused', peer: peer.toString(), code, field, ours, theirs })
  })
  /** Forks told, by the hash of the other block: several peers may be on it. */
  const forks: string[] = []
  status.addEventListener('head', ({ detail: { peer, head } }) => {
    if (head == null || head.height > chain.head.height) return
    const ours = chain.hashAt(head.height)
    const theirs = hex(head.hash)
    if (ours == null || hex(ours) === theirs || forks.includes(theirs)) return
    forks.push(theirs)
    if (forks.length > 50) forks.shift()
    report({ event: 'fork', height: head.height, ours: hex(ours), theirs, peer: peer.toString() })
  })
}

export function reportSync({ sync }: CoinNode, report: Report): void {
  let told = ''
  sync.addEventListener('warning', ({ detail: { message } }) => report({ event: 'warning', message }))
  // a new state is progress too
  sync.addEventListener('progress', ({ detail }) => {
    const { state, reason = '' } = detail
    const now = `${state} ${reason}`
    // the height of a live node is what `head` tells
    if (now === told && state !== 'headers' && state !== 'bodies') return
    told = now
    report({ event: 'sync', ...detail })
  })
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function codeOf(err: Error): string {
  return 'code' in err && typeof err.code === 'string' ? err.code : 'BW_INTERNAL'
}
