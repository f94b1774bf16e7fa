import type { Logger } from '@libp2p/interface'
import { ACCEPT, type Check, ignore, type Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { equalBytes } from '../hex.js'
import { Slice } from '../slice.js'
import { Budget } from './budget.js'
import { describe } from './describe.js'
import type { Candidate, Entries, Entry } from './entries.js'
import type { Tracker } from './handle.js'
import type { Mined } from './mined.js'
import type { Own } from './own.js'
import type { PoolChain, PoolScratch, RemoveReason } from './port.js'
import { whyNotReplace } from './replace.js'
import type { Returned } from './returned.js'

/** How long to try transactions, in ms, before others have a turn of the event loop. */
const SLICE_MS = 4

/** What a pool holds and remembers. */
export interface Holdings<Tx> {
  readonly entries: Entries<Tx>
  readonly own: Own<Tx>
  readonly mined: Mined
  readonly returned: Returned<Tx>
  readonly tracker: Tracker
}

export interface TrialsInit<Tx> {
  chain: PoolChain<Tx>
  clock: Clock
  log: Logger
  feeBump: number
  added(entry: Entry<Tx>): void
  removed(entry: Entry<Tx>, why: RemoveReason): void
}

/** One that wants the place of others. */
interface Change<Tx> {
  entry: Entry<Tx>
  rivals: Set<Entry<Tx>>
}

/**
 * Tries transactions on the state at head plus what is pooled, and keeps what passes. Its methods must not overlap: all but `start`, `stop` and
 * `forget` run in the pool's queue.
 */
export class Trials<Tx> {
  readonly #init: TrialsInit<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #held: Holdings<Tx>
  /** Of work that others can cause. */
  readonly #budget: Budget
  #scratch: PoolScratch<Tx> | undefined
  /** Something is applied to the scratch that is not pooled any more. */
  #stale = false
  /** Came back from dropped blocks, and not tried yet on the present head. */
  #back: Entry<Tx>[] = []
  #running = false

  constructor(init: TrialsInit<Tx>, held: Holdings<Tx>) {
    this.#init = init
    this.#chain = init.chain
    this.#held = held
    this.#budget = new Budget(init.clock)
  }

  start(): void {
    this.#running = true
  }

  /** What is under way ends with the next try. */
  stop(): void {
    this.#running = false
  }

  /** What is applied to the scratch is not known any more. */
  forget(): void {
    this.#scratch = undefined
  }

  /** Tries them in order. */
  async admit(candidates: Candidate<Tx>[], own: boolean): Promise<Verdict[]> {
    const verdicts: Verdict[] = []
    const slice = new Slice(SLICE_MS)
    for (const candidate of candidates) {
      if (slice.over) await slice.end()
      // the head may move between two of them
      for (;;) {
        // what is answered to ourselves is kept: it must be exact
        if (this.#stale && (own || this.#budget.free)) this.forget()
        const scratch = this.#fresh() ?? (await this.refresh())
        if (scratch == null) return candidates.map(() => ignore('error', 'the pool is not started'))
        const trying = this.#tryOne(scratch, candidate, own)
        const verdict = isPromise(trying) ? await trying : trying
        // a scratch that was left behind admits nothing
        if (verdict.result === 'ignore' && verdict.reason === 'state' && !this.#isCurrent(scratch)) continue
        verdicts.push(verdict)
        break
      }
    }
    return verdicts
  }

  /** A scratch state on the present head with all that is pooled applied; undefined when stopped. */
  async refresh(): Promise<PoolScratch<Tx> | undefined> {
    while (this.#running) {
      const fresh = this.#fresh()
      if (fresh != null) return fresh
      await this.#renew()
    }
    return undefined
  }

  /** The scratch at hand, if nothing has come between. */
  #fresh(): PoolScratch<Tx> | undefined {
    const usable = this.#running && this.#held.returned.size === 0 && this.#back.length === 0
    return usable && this.#scratch != null && this.#isCurrent(this.#scratch) ? this.#scratch : undefined
  }

  /** Takes one out that is pooled, not by a new head. */
  remove(key: string, why: RemoveReason): void {
    const entry = this.#held.entries.delete(key)
    if (entry == null) return
    this.#stale = true
    this.#tell(entry, why)
  }

  /** A promise only where the rules wait: they come by the hundred thousand. */
  #tryOne(scratch: PoolScratch<Tx>, candidate: Candidate<Tx>, own: boolean): Verdict | Promise<Verdict> {
    const { entries, mined } = this.#held
    const { key } = candidate
    if (own) this.#adopt(key)
    if (entries.has(key) || mined.has(key)) return ignore('known')
    const entry = describe(this.#chain.rules.pool, candidate, { own, at: this.#init.clock.now() })
    if (!('key' in entry)) return ignore('rule', 'ignore' in entry ? entry.ignore : entry.reject)
    const rivals = entries.rivals(entry)
    const why = rivals.length === 0 ? undefined : whyNotReplace(entry, rivals, this.#init.feeBump)
    if (why != null) return ignore('conflict', why)
    const room = entries.room(entry, rivals)
    if (typeof room === 'string') return ignore('full', room)
    if (own && !this.#held.own.fits(entry.bytes.length)) return ignore('full', "of this node's own ones")
    if (rivals.length > 0 && !own && !this.#budget.free) return ignore('full', 'too many replacements at once')
    const trying = rivals.length === 0 ? this.#try(scratch, entry) : this.#renew({ entry, rivals: new Set(rivals) })
    return isPromise(trying)
      ? trying.then((check) => this.#settle(entry, check, room))
      : this.#settle(entry, trying, room)
  }

  #settle(entry: Entry<Tx>, check: Check, victims: Entry<Tx>[]): Verdict {
    const { entries, mined, own, tracker } = this.#held
    const { key, id } = entry
    if (check !== true) return ignore('state', 'reject' in check ? check.reject : check.ignore)
    // mined while it was tried: the next refresh makes a new scratch
    if (mined.has(key)) return ignore('known')
    // a replacement is there already
    if (!entries.has(key) && entries.add(entry)) this.#init.added(entry)
    // one of our own that was refused before has just taken its place
    if (!entries.has(key)) return ignore('conflict', 'another one was pooled in its place')
    // some of them may have been mined meanwhile
    for (const victim of victims) this.remove(victim.key, 'full')
    if (entry.own) {
      own.add(entry)
      tracker.watch(key, id)
    }
    return ACCEPT
  }

  /** It came from elsewhere, and now is submitted here. */
  #adopt(key: string): void {
    const { entries, own, tracker } = this.#held
    const entry = entries.get(key)
    if (entry == null || entry.own || !own.fits(entry.bytes.length)) return
    entries.adopt(key)
    own.add(entry)
    tracker.watch(key, entry.id)
  }

  /** One that makes the app's rules throw is that one's failure, not that of all behind it. */
  #try(scratch: PoolScratch<Tx>, entry: Entry<Tx>): Check | Promise<Check> {
    const failed = (err: unknown): Check => {
      this.#init.log.error('a rule of the app threw on transaction %s - %e', entry.key, err)
      return { ignore: 'the rules threw' }
    }
    try {
      const check = scratch.admit(entry.tx, entry.bytes)
      return isPromise(check) ? check.catch(failed) : check
    } catch (err) {
      return failed(err)
    }
  }

  #isCurrent(scratch: PoolScratch<Tx>): boolean {
    return equalBytes(scratch.head.hash, this.#chain.head.hash)
  }

  /**
   * One pass over all on a new scratch: first what came back, for it came first; then our own that were refused before; then what is pooled.
   * With a change the newcomer is tried in the place of its rivals, which stay where it fails. Nothing changes when the head moves meanwhile.
   */
  async #renew(change?: Change<Tx>): Promise<Check> {
    this.#scratch = undefined
    const began = this.#init.clock.now()
    const scratch = await this.#chain.scratch()
    await this.#takeBack()
    const kept: Entry<Tx>[] = []
    let outcome: Check | undefined
    const slice = new Slice(SLICE_MS)
    for (const entry of this.#all()) {
      if (!this.#running) return { ignore: 'the pool is not started' }
      if (change?.rivals.has(entry)) {
        const first = outcome == null
        outcome ??= await this.#try(scratch, change.entry)
        if (outcome === true) {
          if (first) kept.push(change.entry)
          continue
        }
      }
      if ((await this.#try(scratch, entry)) === true) kept.push(entry)
      if (slice.over) await slice.end()
    }
    // a scratch that was left behind admits nothing: all are tried again on the next
    if (!this.#isCurrent(scratch)) return { ignore: 'the head moved' }
    this.#stale = false
    this.#apply(kept, outcome === true ? change : undefined)
    this.#scratch = scratch
    this.#budget.spent(began)
    return outcome ?? { ignore: 'the head moved' }
  }

  async #takeBack(): Promise<void> {
    const { entries, mined, returned, own } = this.#held
    const before = new Set(this.#back.map(({ key }) => key))
    const isKnown = (key: string): boolean => entries.has(key) || mined.has(key) || before.has(key)
    const at = this.#init.clock.now()
    const room = {
      txs: entries.limits.txs - this.#back.length,
      bytes: this.#back.reduce((left, { bytes }) => left - bytes.length, entries.limits.bytes)
    }
    for (const candidate of await returned.take(isKnown, room)) {
      const ours = own.get(candidate.key)?.entry
      const entry = ours ?? describe(this.#chain.rules.pool, candidate, { own: false, at })
      if ('key' in entry) this.#back.push(entry)
    }
  }

  /** In the order in which they are tried. */
  #all(): Entry<Tx>[] {
    const { entries, own, mined } = this.#held
    const back = new Set(this.#back.map(({ key }) => key))
    const missing = own.missing((key) => entries.has(key) || back.has(key) || mined.has(key))
    return [...this.#back, ...missing, ...entries.values()]
  }

  /** What was kept is pooled, and nothing else. */
  #apply(kept: Entry<Tx>[], change: Change<Tx> | undefined): void {
    const { entries, mined, own, tracker, returned } = this.#held
    const before = new Map([...entries.values()].map((entry) => [entry.key, entry]))
    const stays = new Set(kept)
    for (const [key, entry] of before) if (!stays.has(entry)) entries.delete(key)
    // new ones come before the others, or among them
    if (kept.some(({ key }) => !before.has(key))) entries.clear()
    for (const entry of kept) {
      // mined while the others were tried
      if (mined.has(entry.key) || entries.has(entry.key)) continue
      if (!entries.add(entry) || before.has(entry.key)) continue
      if (entry.own) tracker.revived(entry.key)
      this.#init.added(entry)
    }
    for (const [key, entry] of before) {
      if (entries.has(key)) continue
      const replaced = stays.has(entry) || change?.rivals.has(entry) === true
      if (replaced) own.delete(key)
      this.#tell(entry, replaced ? 'replaced' : 'state')
    }
    for (const victim of entries.overflow()) this.remove(victim.key, 'full')
    this.#back = []
    // another reorganisation came meanwhile: theirs may still come back
    if (returned.size > 0) return
    own.look(this.#init.clock.now(), (key) => entries.has(key))
    for (const key of tracker.pending()) if (!entries.has(key)) tracker.dropped(key, 'state')
  }

  #tell(entry: Entry<Tx>, why: RemoveReason): void {
    this.#init.removed(entry, why)
    this.#held.tracker.dropped(entry.key, why)
  }
}

function isPromise<T extends Check | Verdict>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && 'then' in value
}
