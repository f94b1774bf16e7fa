import type { Core } from './core.js'
import type { BaseHeader } from './rules.js'
import { assess, isFuture } from './standing.js'
import { reaches, thresholdOf } from './threshold.js'

/**
 * Has a block's transactions checked on other cores, if its header is worth that: placed, by all rules of headers, and on a chain that is
 * kept. Undefined when there is nothing to wait for.
 */
export function prepareBlock<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  bytes: Uint8Array
): Promise<unknown> | undefined {
  if (core.terms.rules.checkTxs == null) return undefined
  const piece = core.inspector.open(bytes)
  if (!('hash' in piece)) return undefined
  const { verdict, place, deep } = assess(core, piece)
  if (place == null || deep || (verdict.result !== 'accept' && !isFuture(verdict))) return undefined
  if (core.tree.get(piece.hash) == null && !reaches(place, thresholdOf(core))) return undefined
  return core.inspector.prepare([piece], true)
}
