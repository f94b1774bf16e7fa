import type { BlockContext, Draft, Sealed } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import { ConfigError } from '../errors.js'
import { type CoinRules, draftHeader } from './coin.js'
import { type CoinHeader, header, targetBytes } from './header.js'
import { Board, type Outcome } from './job.js'
import { startThread, type Thread } from './thread.js'
import { type CoinTx, isName } from './tx.js'

const NONCES = 2 ** 32
/** What `hashrate` looks back on. */
const WINDOW_MS = 10_000

export interface MinerInit {
  /** Of the chain that is mined: they know the difficulty. */
  rules: CoinRules
  /** Who gets reward and fees: an address, 32 bytes. */
  to: Uint8Array
  /** Written into the blocks, for people; at most 32 bytes of UTF-8. @default '' */
  name?: string
  /** @default all cores but one, at least 1 */
  threads?: number
  /** Nonces that all threads together try before they change the extra nonce; for tests. @default 2^32 */
  nonces?: number
  clock?: Clock
}

/** Mines with worker threads. Its functions stand alone, so `{ ...miner(init) }` is what `producer` takes. */
export interface Miner {
  /** The reward. */
  prefix(ctx: BlockContext<CoinHeader>): CoinTx[]
  /**
   * Searches until it has found a nonce or `signal` aborts: then undefined, at once, and the threads turn to the next block within
   * a millisecond. One block at a time: a second call ends the first. The threads start with the first call and are kept.
   */
  seal(
    draft: Draft<CoinHeader, CoinTx>,
    options: { signal: AbortSignal }
  ): Promise<Sealed<CoinHeader, CoinTx> | undefined>
  /** Hashes a second of all threads: over the last 10 s, or since the last call where that was longer ago. */
  hashrate(): number
  /** Gives up the block at hand and ends the threads. `seal` may be called again and starts new ones. */
  stop(): Promise<void>
}

/**
 * A miner for a `coin`. Threads that search keep the process alive, idle ones do not.
 * @throws ConfigError naming the option
 */
export function miner(init: MinerInit): Miner {
  const mine = new ThreadedMiner(init)
  return {
    prefix: (ctx) => mine.prefix(ctx),
    seal: (draft, { signal }) => mine.seal(draft, signal),
    hashrate: () => mine.hashrate(),
    stop: () => mine.stop()
  }
}

/** The block that is searched for, and how to tell the caller. */
interface Task {
  id: number
  draft: Draft<CoinHeader, CoinTx>
  /** What each thread works on: since its nonces may run out at another time, each has its own extra nonce. */
  assigned: Array<{ header: CoinHeader; prefix: CoinTx[] }>
  settle(sealed: Sealed<CoinHeader, CoinTx> | undefined, error?: Error): void
}

class ThreadedMiner {
  readonly #init: MinerInit
  readonly #clock: Clock
  readonly #board: Board
  readonly #share: number
  #threads: Thread[] = []
  #task: Task | undefined
  /** Counts jobs; the board shows the one at hand. */
  #id = 0
  /** Begins anywhere, so that two miners with one address do not try the same. */
  #extraNonce = Math.floor(Math.random() * NONCES)
  #samples: Array<{ at: number; total: number }> = []

  constructor(init: MinerInit) {
    const {
      to,
      name = '',
      threads = Math.max(1, (globalThis.navigator?.hardwareConcurrency ?? 2) - 1),
      nonces = NONCES
    } = init
    if (!(to instanceof Uint8Array) || to.length !== 32) throw new ConfigError('to', 'is not an address of 32 bytes')
    if (!isName(name)) throw new ConfigError('name', 'is over 32 bytes of UTF-8, or has control characters')
    if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
      throw new ConfigError('threads', `${threads} is not an integer from 1 to 256`)
    }
    if (!Number.isInteger(nonces) || nonces < threads || nonces > NONCES) {
      throw new ConfigError('nonces', `${nonces} is not an integer from ${threads} to 2^32`)
    }
    this.#init = { ...init, name, threads }
    this.#clock = init.clock ?? systemClock
    this.#board = Board.of(threads)
    this.#share = Math.floor(nonces / threads)
    this.#samples.push({ at: performance.now(), total: 0 })
  }

  prefix({ height }: BlockContext<CoinHeader>): CoinTx[] {
    return [{ kind: 'reward', height, to: this.#init.to, name: this.#init.name!, extraNonce: this.#extraNonce }]
  }

  async seal(draft: Draft<CoinHeader, CoinTx>, signal: AbortSignal): Promise<Sealed<CoinHeader, CoinTx> | undefined> {
    this.#task?.settle(undefined)
    if (signal.aborted) return undefined
    return await new Promise((resolve, reject) => {
      const onAbort = (): void => task.settle(undefined)
      const task: Task = {
        id: this.#nextId(),
        draft,
        assigned: [],
        settle: (sealed, error) => {
          if (this.#task !== task) return
          this.#task = undefined
          // no job has the next number yet: all threads stop
          this.#board.current = this.#nextId()
          for (const thread of this.#threads) thread.hold(false)
          signal.removeEventListener('abort', onAbort)
          if (error == null) resolve(sealed)
          else reject(error)
        }
      }
      this.#task = task
      signal.addEventListener('abort', onAbort)
      try {
        this.#startThreads()
        this.#board.current = task.id
        const first = draftHeader(this.#init.rules, draft, this.#clock.now())
        for (let thread = 0; thread < this.#threads.length; thread++) {
          this.#assign(task, thread, first, draft.prefix)
          this.#threads[thread]!.hold(true)
        }
      } catch (err) {
        task.settle(undefined, err as Error)
      }
    })
  }

  hashrate(): number {
    const now = { at: performance.now(), total: this.#board.total }
    while (this.#samples.length > 1 && now.at - this.#samples[1]!.at >= WINDOW_MS) this.#samples.shift()
    const since = this.#samples[0]!
    const last = this.#samples.at(-1)!
    if (now.at - last.at >= 500) this.#samples.push(now)
    return now.at > since.at ? (1_000 * (now.total - since.total)) / (now.at - since.at) : 0
  }

  async stop(): Promise<void> {
    this.#task?.settle(undefined)
    const threads = this.#threads
    this.#threads = []
    await Promise.all(threads.map((thread) => thread.stop()))
  }

  #nextId(): number {
    this.#id = (this.#id + 1) | 0
    return this.#id
  }

  #startThreads(): void {
    if (this.#threads.length > 0) return
    for (let i = 0; i < this.#init.threads!; i++) {
      const thread: Thread = startThread(this.#board, i, {
        outcome: (outcome) => {
          if (this.#threads[i] === thread) this.#onOutcome(i, outcome)
        },
        lost: (error) => {
          if (this.#threads[i] !== thread) return
          this.#task?.settle(undefined, error)
          // the others go too: the next block starts with all of them anew
          void this.stop()
        }
      })
      this.#threads.push(thread)
    }
  }

  #onOutcome(thread: number, outcome: Outcome): void {
    const task = this.#task
    if (task == null || outcome.id !== task.id || outcome.result === 'cancelled') return
    const { header, prefix } = task.assigned[thread]!
    if (outcome.result === 'found') {
      task.settle({ header: { ...header, time: outcome.time, nonce: outcome.nonce }, prefix })
      return
    }
    try {
      this.#extraNonce = (this.#extraNonce + 1) >>> 0
      const next = prefix.map((tx) => (tx.kind === 'reward' ? { ...tx, extraNonce: this.#extraNonce } : tx))
      this.#assign(task, thread, { ...header, root: task.draft.rootWith(next) }, next)
    } catch (err) {
      task.settle(undefined, err as Error)
    }
  }

  #assign(task: Task, thread: number, draft: CoinHeader, prefix: CoinTx[]): void {
    const target = targetBytes(draft.bits)
    if (target == null) throw new RangeError(`bits 0x${draft.bits.toString(16)} have no target`)
    task.assigned[thread] = { header: draft, prefix }
    this.#threads[thread]!.post({
      id: task.id,
      header: header.encode(draft),
      target,
      from: thread * this.#share,
      count: this.#share,
      minTime: task.draft.minTime,
      skew: this.#clock.now() - Date.now()
    })
  }
}
