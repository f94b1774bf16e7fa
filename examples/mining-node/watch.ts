/** Turns the library's events into the reporter's. */
import type { Node } from 'blockwire'
import { type Rules, splitBlock } from 'blockwire/chain'
import type { CoinHeader, CoinTx } from 'blockwire/pow'
import type { Report } from './event.js'

type CoinNode = Node<CoinHeader, CoinTx>

export function reportChain({ chain, producer }: CoinNode, rules: Rules<CoinHeader, CoinTx>, report: Report): void {
  /** The last block that joined the chain: the head, once `head` comes. */
  let last: { bytes: Uint8Array; txs: number } | undefined
  let blocks = 0
  let own = ''
  chain.addEventListener('block', ({ detail }) => {
    last = detail
    blocks++
  })
  chain.addEventListener('head', ({ detail: { height, hash, work } }) => {
    report({
      event: 'head',
      height,
      hash: hex(hash),
      miner: last == null ? '' : winnerOf(last.bytes, chain.limits, rules),
      work: work.toString(),
      txs: last?.txs ?? 0,
      own: hex(hash) === own,
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
    own = hex(hash)
    report({ event: 'mined', height, hash: own })
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

export function reportPeers({ peers, status, chain }: CoinNode, report: Report): void {
  peers.addEventListener('join', ({ detail: { peer } }) => {
    report({ event: 'peer', action: 'join', peer: peer.toString() })
  })
  peers.addEventListener('leave', ({ detail: { peer, reason } }) => {
    report({ event: 'peer', action: 'leave', peer: peer.toString(), reason })
  })
  status.addEventListener('refused', ({ detail: { peer, code, field, ours, theirs } }) => {
    report({ event: 'refused', peer: peer.toString(), code, field, ours, theirs })
  })
  status.addEventListener('head', ({ detail: { peer, head } }) => {
    if (head == null || head.height > chain.head.height) return
    const ours = chain.hashAt(head.height)
    if (ours == null || hex(ours) === hex(head.hash)) return
    report({ event: 'fork', height: head.height, ours: hex(ours), theirs: hex(head.hash), peer: peer.toString() })
  })
}

export function reportSync({ sync }: CoinNode, report: Report): void {
  const tell = ({ detail: { state, height, target } }: { detail: typeof sync.progress }): void => {
    report({ event: 'sync', state, height, target })
  }
  sync.addEventListener('state', tell)
  sync.addEventListener('progress', tell)
}

/** The name in the reward, which is a block's first transaction. */
function winnerOf(
  block: Uint8Array,
  limits: Parameters<typeof splitBlock>[1],
  rules: Rules<CoinHeader, CoinTx>
): string {
  const first = splitBlock(block, limits).txs[0]
  if (first == null) return ''
  const tx = rules.tx.decode(first)
  return tx.kind === 'reward' ? tx.name : ''
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function codeOf(err: Error): string {
  return 'code' in err && typeof err.code === 'string' ? err.code : 'BW_INTERNAL'
}
