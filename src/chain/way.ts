import { StoreReadError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { splitBlock } from './block.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import type { BaseHeader } from './rules.js'

/** From one block to another: down to the last block of both, then up. */
export interface Way<Header> {
  from: Entry<Header>
  to: Entry<Header>
  common: Entry<Header>
  /** Ascending. */
  dropped: Entry<Header>[]
  /** Ascending. */
  added: Entry<Header>[]
}

/** The way between two blocks that are in memory down to where they meet. */
export function wayBetween<Header>(from: Entry<Header>, to: Entry<Header>): Way<Header> {
  const dropped: Entry<Header>[] = []
  const added: Entry<Header>[] = []
  let a = from
  let b = to
  while (a !== b) {
    const height = a.at.height
    if (height >= b.at.height) {
      dropped.push(a)
      a = a.parent!
    }
    if (b.at.height >= height) {
      added.push(b)
      b = b.parent!
    }
  }
  return { from, to, common: a, dropped: dropped.reverse(), added: added.reverse() }
}

/** Says that the head went a way in steps, as if it had been one. The bodies are read again: together they may be any size. */
export async function announceWay<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  { from, to, common, dropped, added }: Way<Header>
): Promise<void> {
  core.announceTarget()
  if (dropped.length > 0) {
    const located = (entries: Entry<Header>[]) => entries.map(({ at }) => at)
    core.emit('reorg', {
      from: from.at,
      to: to.at,
      common: common.at,
      dropped: located(dropped),
      added: located(added)
    })
  }
  if (core.listens('block')) {
    for (const { at } of added) {
      const { hash, height, header } = at
      const bytes = await core.store.body(height, hash)
      if (bytes == null) core.error(new StoreReadError(`the body of block ${height} (${toHex(hash)})`))
      else core.emit('block', { hash, height, header, bytes, txs: splitBlock(bytes, core.terms.limits).txs.length })
    }
  }
  if (!equalBytes(from.at.hash, to.at.hash)) core.emit('head', to.at)
}
