import type { BaseHeader, BlockContext, StateRules } from './rules.js'
import { isPromise, type Overlay } from './state.js'
import type { Check } from './verdict.js'

/** What comes of running rules on a state: their answer, or that they threw. */
export type Outcome = Check | { threw: unknown; rule: string }

type Step = () => Check | Promise<Check>

/**
 * Runs a block's transactions on a state: begin, each transaction, end. Waits only where a rule does: the answer is a promise only
 * then. Stops at the first that refuses; the caller rolls back.
 */
export function execute<Header extends BaseHeader, Tx>(
  rules: StateRules<Header, Tx>,
  txs: Tx[],
  ctx: BlockContext<Header>,
  overlay: Overlay
): Outcome | Promise<Outcome> {
  const { begin, end } = rules
  let at = begin == null ? 0 : -1
  const step = (): Check | Promise<Check> => {
    if (at < 0) return begin!.call(rules, ctx, overlay)
    return at < txs.length ? rules.applyTx(txs[at]!, ctx, overlay) : end!.call(rules, ctx, overlay)
  }
  const last = txs.length - (end == null ? 1 : 0)
  const name = (): string => `state.${at < 0 ? 'begin' : at < txs.length ? 'applyTx' : 'end'}`
  const run = (): Outcome | Promise<Outcome> => {
    for (; at <= last; at++) {
      const outcome = attempt(step, name())
      if (isPromise(outcome)) {
        return outcome.then((settled) => {
          if (settled !== true) return where(settled, at, txs.length)
          at++
          return run()
        })
      }
      if (outcome !== true) return where(outcome, at, txs.length)
    }
    return true
  }
  return run()
}

/** Runs one rule. What it throws, at once or later, is an outcome. */
export function attempt(step: Step, rule: string): Outcome | Promise<Outcome> {
  try {
    const check = step()
    return isPromise(check) ? check.catch((threw: unknown) => ({ threw, rule })) : check
  } catch (threw) {
    return { threw, rule }
  }
}

function where(outcome: Outcome, at: number, count: number): Outcome {
  if (outcome === true || at < 0 || at >= count || !('reject' in outcome)) return outcome
  return { reject: `transaction ${at}: ${outcome.reject}` }
}
