import { equalBytes } from '../hex.js'
import type { Terms } from './genesis.js'
import { keyOf } from './key.js'
import type { BaseHeader } from './rules.js'
import { isPromise } from './state.js'
import { ACCEPT, type Check, ignore, reject, type Verdict } from './verdict.js'

/** What can be said of a transaction without state. */
export interface CheckedTx<Tx> {
  verdict: Verdict
  /** Present when it could be decoded. */
  tx?: Tx
}

export interface CheckOptions {
  /** A block waits for it. @default false */
  urgent?: boolean
  /** Those that pass are remembered. @default false */
  remember?: boolean
  /** Their sender is this very program, which knows that the rules' check passes: it is left out. @default false */
  trusted?: boolean
}

/** IDs of transactions that passed, at most; the oldest go first. Some 4 MiB. */
const MAX_PASSED = 32_768

/**
 * Decodes and checks transactions. What passed on its way to the pool is remembered, so that it is not checked again in its block: a
 * signature takes 300 times as long as looking that up.
 */
export class TxChecks<Header extends BaseHeader, Tx> {
  readonly #passed = new Set<string>()

  constructor(
    private readonly terms: Terms<Header, Tx>,
    /** A rule of the app threw. */
    private readonly threw: (rule: string, cause: unknown) => void
  ) {}

  /** Is anything remembered at all? Where nothing is, IDs need not be known. */
  get remembers(): boolean {
    return this.#passed.size > 0
  }

  one(bytes: Uint8Array): CheckedTx<Tx> {
    const decoded = this.#decode(bytes)
    return decoded.verdict.result === 'accept' ? this.#check(decoded) : decoded
  }

  /** One of a block. `id` is given where what is remembered may be used. */
  inBlock(bytes: Uint8Array, id: Uint8Array | undefined): CheckedTx<Tx> {
    return id != null && this.#passed.has(keyOf(id)) ? this.#decode(bytes) : this.one(bytes)
  }

  /**
   * All of them, on other cores where the rules can: the answer is a promise only then. `ids` are those of `list`, by which they are
   * remembered.
   */
  many(
    list: Uint8Array[],
    ids: Uint8Array[] | undefined,
    { urgent = false, remember = false, trusted = false }: CheckOptions = {}
  ): CheckedTx<Tx>[] | Promise<CheckedTx<Tx>[]> {
    const { rules, genesis } = this.terms
    const results = list.map((bytes) => this.#decode(bytes))
    if (rules.checkTx == null) return results
    const open: number[] = []
    for (const [i, { verdict }] of results.entries()) {
      if (verdict.result === 'accept' && !(ids != null && this.#passed.has(keyOf(ids[i]!)))) open.push(i)
    }
    const done = (): CheckedTx<Tx>[] => {
      if (remember && ids != null) {
        for (const i of open) if (results[i]!.verdict.result === 'accept') this.#remember(ids[i]!)
      }
      return results
    }
    if (trusted) return done()
    if (rules.checkTxs == null || open.length === 0) {
      for (const i of open) results[i] = this.#check(results[i]!)
      return done()
    }
    const settled = (checks: Check[]): CheckedTx<Tx>[] => {
      if (!Array.isArray(checks) || checks.length !== open.length)
        return failed(new TypeError(`not one answer for each of ${open.length} transactions`))
      for (const [n, i] of open.entries()) {
        if (checks[n] !== true) results[i] = answered(results[i]!.tx as Tx, checks[n]!)
      }
      return done()
    }
    const failed = (cause: unknown): CheckedTx<Tx>[] => {
      this.threw('checkTxs', cause)
      for (const i of open) results[i] = { verdict: ignore('error', 'rules.checkTxs threw') }
      return results
    }
    try {
      const txs = open.map((i) => results[i]!.tx as Tx)
      const checks = rules.checkTxs(txs, genesis.at.hash, { urgent })
      return isPromise(checks) ? checks.then(settled).catch(failed) : settled(checks)
    } catch (err) {
      return failed(err)
    }
  }

  #decode(bytes: Uint8Array): CheckedTx<Tx> {
    const { rules, limits } = this.terms
    if (bytes.length > limits.txBytes)
      return { verdict: reject('too-large', `transaction of ${bytes.length} bytes, over ${limits.txBytes}`) }
    if (bytes.length === 0) return { verdict: reject('malformed', 'a transaction of no bytes') }
    try {
      const tx = rules.tx.decode(bytes)
      if (rules.tx.canonical !== true && !equalBytes(rules.tx.encode(tx), bytes))
        return { verdict: reject('malformed', 'the transaction encodes to other bytes') }
      return { verdict: ACCEPT, tx }
    } catch (err) {
      return { verdict: undecodable(err) }
    }
  }

  #check(decoded: CheckedTx<Tx>): CheckedTx<Tx> {
    const { rules, genesis } = this.terms
    if (rules.checkTx == null) return decoded
    try {
      const check = rules.checkTx(decoded.tx as Tx, genesis.at.hash)
      return check === true ? decoded : answered(decoded.tx as Tx, check)
    } catch (err) {
      this.threw('checkTx', err)
      return { verdict: ignore('error', 'rules.checkTx threw') }
    }
  }

  #remember(id: Uint8Array): void {
    this.#passed.add(keyOf(id))
    if (this.#passed.size <= MAX_PASSED) return
    for (const oldest of this.#passed) {
      this.#passed.delete(oldest)
      return
    }
  }
}

/** What a decoder that threw means. */
export function undecodable(err: unknown): Verdict {
  const message = err instanceof Error ? err.message : String(err)
  return reject(
    err instanceof Error && err.name === 'TooLargeBytesError' ? 'too-large' : 'malformed',
    message.slice(0, 200)
  )
}

function answered<Tx>(tx: Tx, check: Check): CheckedTx<Tx> {
  if (check === true) return { verdict: ACCEPT, tx }
  return { verdict: 'reject' in check ? reject('tx', check.reject) : ignore('rule', check.ignore) }
}
