import type { Check, PoolRules } from '../chain/index.js'
import { toHex } from '../hex.js'
import type { Candidate, Entry } from './entries.js'

const MAX_SENDER = 256
const MAX_CONFLICTS = 256
const CONFLICT_BYTES = 1_024

/** Asks the app's rules what the pool must know of a transaction. Never throws. */
export function describe<T>(
  rules: PoolRules<T> | undefined,
  candidate: Candidate<T>,
  { own, at }: { own: boolean; at: number }
): Entry<T> | Exclude<Check, true> {
  const { tx, bytes } = candidate
  try {
    const fee = rules?.fee?.(tx) ?? 0n
    if (typeof fee !== 'bigint' || fee < 0n)
      return { ignore: `rules.pool.fee gave ${String(fee)}, not a bigint of at least 0n` }
    const order = orderOf(rules, tx)
    const conflicts = rules?.conflicts?.(tx) ?? []
    const size = conflicts.reduce((sum, key) => sum + key.length, 0)
    if (conflicts.length > MAX_CONFLICTS || size > bytes.length + CONFLICT_BYTES)
      return {
        ignore: `it names ${conflicts.length} conflicts of ${size} bytes, over ${MAX_CONFLICTS} or over its own size and 1 KiB`
      }
    const slots = new Set(conflicts.map((key) => `k${toHex(key)}`))
    if (order != null) slots.add(`s${order.sequence}/${order.sender}`)
    return { ...candidate, own, at, fee, rate: Number(fee) / bytes.length, order, slots: [...slots] }
  } catch (err) {
    return { ignore: `rules.pool threw: ${String(err)}` }
  }
}

function orderOf<T>(rules: PoolRules<T> | undefined, tx: T): Entry<T>['order'] {
  const order = rules?.order?.(tx)
  if (order == null) return undefined
  const { sender, sequence } = order
  if (sender.length > MAX_SENDER) throw new RangeError(`a sender of ${sender.length} bytes, over ${MAX_SENDER}`)
  if (typeof sequence !== 'bigint') throw new TypeError('a sequence is a bigint')
  return { sender: toHex(sender), sequence }
}
