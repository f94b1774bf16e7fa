import type { TypedEventTarget } from 'main-event'
import { RefusedError } from '../errors.js'
import { ancestorsOf } from './ancestors.js'
import { encodeBlock, txId } from './block.js'
import type { Core } from './core.js'
import { varintLength } from './cursor.js'
import type { Entry } from './entry.js'
import type { ChainEvents } from './events.js'
import { attempt, type Outcome } from './execution.js'
import { bytesKey, TABLE } from './layout.js'
import type { WaitingLine } from './line.js'
import { merkleRoot } from './merkle.js'
import type { Ancestors, BaseHeader, BlockContext, Located, ReadableState } from './rules.js'
import { isPromise, Overlay } from './state.js'
import type { Check, Verdict } from './verdict.js'

export interface ProposeOptions<Header extends BaseHeader, Tx> {
  /** The block's first transactions, e.g. a reward. One that is refused refuses the block. */
  prefix?(ctx: BlockContext<Header>): Tx[]
  /** Candidates in the order in which they should be tried, as bytes. Those that are refused here are left out. */
  txs?: Iterable<Uint8Array>
  /**
   * Makes the header valid: time, nonce, signature. `signal` aborts when the head moves or the caller gives up. Undefined gives up.
   * The chain goes on meanwhile.
   */
  seal(
    draft: Draft<Header, Tx>,
    options: { signal: AbortSignal }
  ): Sealed<Header, Tx> | undefined | Promise<Sealed<Header, Tx> | undefined>
  /** Of the whole block. @default limits.blockBytes */
  maxBytes?: number
  signal?: AbortSignal
}

/** A block that lacks only its header. */
export interface Draft<Header, Tx> {
  parent: Located<Header>
  height: number
  /** Merkle root of `prefix` and the transactions. */
  root: Uint8Array
  /** What every header has, filled in. The time is the present one, or `minTime` where that is later. */
  header: Required<BaseHeader>
  /** The least time that the header may have: milliseconds since 1970. */
  minTime: number
  prefix: Tx[]
  /** How many transactions follow the prefix. */
  txs: number
  ancestors: Ancestors<Header>
  /** The root with another prefix, which goes into `Sealed` then. */
  rootWith(prefix: Tx[]): Uint8Array
}

export interface Sealed<Header, Tx> {
  /** With the draft's parent hash and root. */
  header: Header
  /** Where it is not the draft's. */
  prefix?: Tx[]
}

/** A block of our own, stored and on disk. */
export interface Proposed<Header> extends Located<Header> {
  bytes: Uint8Array
  txs: Uint8Array[]
  /** How many of them are the prefix. */
  prefix: number
}

/** A state at head on which transactions can be tried, one after another. */
export interface Scratch<Tx> {
  /** What it stands on. Once the chain's head is another one, make a new scratch. */
  readonly head: Located<unknown>
  /** Head plus what was admitted. */
  readonly state: ReadableState
  /**
   * May this come next? Runs `state.admit`, then `applyTx`; what is refused leaves no trace. Calls run one at a time. A rule that throws
   * answers `{ ignore }`, and so does a scratch whose head is no longer the chain's. A promise only where a rule waits or another call is
   * still under way: they come by the hundred thousand.
   */
  admit(tx: Tx, bytes: Uint8Array): Check | Promise<Check>
}

/** A draft, and what makes a block of it. */
interface Built<Header extends BaseHeader, Tx> {
  draft: Draft<Header, Tx>
  /** The block's bytes. Throws where a codec of the app does. */
  assemble(sealed: Sealed<Header, Tx>): { bytes: Uint8Array; txs: Uint8Array[]; prefix: number }
}

/**
 * Builds a block on the head as it stands: prefix, then each candidate that the rules let pass.
 * @throws RefusedError when the rules refuse the prefix, `begin` or `end`.
 */
async function build<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  options: ProposeOptions<Header, Tx>
): Promise<Built<Header, Tx>> {
  const { terms, tree, inspector } = core
  const { rules, limits } = terms
  const parent: Entry<Header> = tree.head
  const height = parent.at.height + 1
  const ctx: BlockContext<Header> = { height, parent: parent.at }
  const overlay = stateOver(core)
  overlay.begin()
  const run = async (rule: string, step: () => Check | Promise<Check>): Promise<Outcome> => {
    const mark = overlay.mark
    const outcome = await attempt(step, rule)
    if (outcome !== true) overlay.rollback(mark)
    return outcome
  }
  const { state } = rules
  if (state?.begin != null) must('state.begin', await run('state.begin', () => state.begin!(ctx, overlay)))
  const prefix = options.prefix?.(ctx) ?? []
  for (const tx of prefix) {
    if (state != null)
      must('state.applyTx of the prefix', await run('state.applyTx', () => state.applyTx(tx, ctx, overlay)))
  }
  const encode = (txs: Tx[]): Uint8Array[] => txs.map((tx) => rules.tx.encode(tx))
  // the header's size is not known before it is sealed
  let left =
    Math.min(options.maxBytes ?? limits.blockBytes, limits.blockBytes) -
    limits.headerBytes -
    varintLength(limits.headerBytes)
  for (const bytes of encode(prefix)) left -= sizeOf(bytes)
  const txs: Uint8Array[] = []
  const ids: Uint8Array[] = []
  for (const bytes of options.txs ?? []) {
    if (sizeOf(bytes) > left) continue
    const id = txId(bytes)
    // most come from the pool, where they were checked
    const { verdict, tx } = inspector.txs.inBlock(bytes, id)
    if (verdict.result !== 'accept') continue
    if (state != null && (await run('state.applyTx', () => state.applyTx(tx as Tx, ctx, overlay))) !== true) continue
    txs.push(bytes)
    ids.push(id)
    left -= sizeOf(bytes)
  }
  if (state?.end != null) must('state.end', await run('state.end', () => state.end!(ctx, overlay)))
  const rootWith = (first: Tx[]): Uint8Array => merkleRoot([...encode(first).map(txId), ...ids])
  const root = rootWith(prefix)
  const minTime = inspector.median(parent) + 1
  return {
    draft: {
      parent: parent.at,
      height,
      root,
      header: { parent: parent.at.hash, root, time: Math.max(core.clock.now(), minTime), height },
      minTime,
      prefix,
      txs: txs.length,
      ancestors: ancestorsOf(parent, terms.lookback, (entry) => core.before(entry)),
      rootWith
    },
    assemble(sealed) {
      const first = encode(sealed.prefix ?? prefix)
      const all = [...first, ...txs]
      return { bytes: encodeBlock(rules.header.encode(sealed.header), all), txs: all, prefix: first.length }
    }
  }
}

/** Builds, seals and adds a block; gives up when `events` say that the head moved. See `Chain.propose`. */
export async function propose<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  line: WaitingLine,
  events: Pick<TypedEventTarget<ChainEvents<Header>>, 'addEventListener' | 'removeEventListener'>,
  add: (bytes: Uint8Array) => Promise<Verdict>,
  options: ProposeOptions<Header, Tx>
): Promise<Proposed<Header> | undefined> {
  const { draft, assemble } = await line.run(() => build(core, options))
  const giveUp = new AbortController()
  const abort = (): void => giveUp.abort()
  const moved = (): boolean => core.tree.head.at !== draft.parent
  events.addEventListener('head', abort)
  options.signal?.addEventListener('abort', abort)
  if (moved() || options.signal?.aborted) abort()
  try {
    const sealed = giveUp.signal.aborted ? undefined : await options.seal(draft, { signal: giveUp.signal })
    if (sealed == null || giveUp.signal.aborted) return undefined
    const block = assemble(sealed)
    const piece = core.inspector.open(block.bytes)
    const verdict = await line.run(() => (moved() ? undefined : add(block.bytes)))
    if (verdict == null) return undefined
    refuse(verdict)
    const own = 'hash' in piece ? core.tree.get(piece.hash) : undefined
    return own == null ? undefined : { ...own.at, ...block }
  } catch (err) {
    // what a seal throws once it was told to stop is of no interest
    if (giveUp.signal.aborted && !(err instanceof RefusedError)) return undefined
    throw err
  } finally {
    events.removeEventListener('head', abort)
    options.signal?.removeEventListener('abort', abort)
  }
}

/** State at head, to be written on without being stored. */
function stateOver<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Overlay {
  return new Overlay((key) => core.store.read(bytesKey(TABLE.state, key)))
}

/** @throws RefusedError saying which rule refused our own block. */
function refuse(verdict: Verdict): void {
  if (verdict.result === 'accept') return
  throw new RefusedError(
    verdict.reason,
    `our own block was refused: ${verdict.reason}${verdict.detail == null ? '' : `, ${verdict.detail}`}`
  )
}

/** Makes a scratch. Tries run one after another. */
export function makeScratch<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Scratch<Tx> {
  const entry = core.tree.head
  const overlay = stateOver(core)
  const ctx: BlockContext<Header> = { height: entry.at.height + 1, parent: entry.at }
  const { state } = core.terms.rules
  let last: Promise<unknown> | undefined
  const settle = (outcome: Outcome): Check => {
    if (outcome === true) return true
    overlay.rollback(0)
    return 'threw' in outcome ? { ignore: `rules.${outcome.rule} threw: ${String(outcome.threw)}` } : outcome
  }
  const admit = (tx: Tx): Check | Promise<Check> => {
    if (core.tree.head !== entry) return { ignore: 'the head moved' }
    if (state == null) return true
    // only this transaction can be taken back
    overlay.begin()
    const apply = (outcome: Outcome): Outcome | Promise<Outcome> =>
      outcome === true ? attempt(() => state.applyTx(tx, ctx, overlay), 'state.applyTx') : outcome
    const admitted = state.admit == null ? true : attempt(() => state.admit!(tx, overlay), 'state.admit')
    const applied = isPromise(admitted) ? admitted.then(apply) : apply(admitted)
    return isPromise(applied) ? applied.then(settle) : settle(applied)
  }
  return {
    head: entry.at,
    state: { get: (key) => overlay.get(key) },
    admit(tx) {
      const result = last == null ? admit(tx) : last.then(() => admit(tx))
      if (!isPromise(result)) return result
      const done = (): void => {
        if (last === waiting) last = undefined
      }
      const waiting: Promise<unknown> = result.then(done, done)
      last = waiting
      return result
    }
  }
}

function sizeOf(tx: Uint8Array): number {
  return varintLength(tx.length) + tx.length
}

function must(what: string, outcome: Outcome): void {
  if (outcome === true) return
  if ('threw' in outcome) throw outcome.threw
  throw new RefusedError(
    'state',
    `our own block was refused by ${what}: ${'reject' in outcome ? outcome.reject : outcome.ignore}`
  )
}
